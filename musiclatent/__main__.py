"""``python -m musiclatent`` is the command ``musiclatent``."""

from musiclatent.cli import main

raise SystemExit(main())
