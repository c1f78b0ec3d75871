"""What a user starts: notebooks, report, dashboard, pages, commands on own music."""
