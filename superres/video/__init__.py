"""Videos upscaled frame by frame, everything else of the file kept. Needs requirements-video.txt.

`probe` reads what a file holds, `frames` decodes, `enlarger` runs the model, `segments` encodes in
parts that outlive a crash, `join` writes the file; `upscaling` is the whole way.
"""
