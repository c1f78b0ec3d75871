"""What is lost before any network: by frames, hop and duration."""
