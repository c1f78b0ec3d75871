"""Where the sound of a file begins and ends by its bytes, whatever its header promises.

Recorders leave sizes out, writers stop early, and people join files byte on byte. So what stands
before, behind and between the sounds of a file is looked at before one of its counts is believed.
"""
