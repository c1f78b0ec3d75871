"""Dance music: sections, versions, selections and mixes."""
