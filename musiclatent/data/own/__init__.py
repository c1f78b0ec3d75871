"""What a person's own folder says of its music: folders, tags of files, a table of labels."""
