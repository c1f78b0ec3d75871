"""What is seen and heard: pictures, players, and the map that you click."""
