"""Networks computed row by row, so that an image of any height takes little memory."""
