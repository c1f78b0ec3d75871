"""What a comparison of encoders looks like: pictures, two linked maps, tables for other tools."""
