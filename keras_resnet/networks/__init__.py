"""The networks: residual blocks, the table of depths, and what is made of them."""
