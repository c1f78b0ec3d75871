"""Music that is drawn from controls: tempo, key, brightness, level and style."""
