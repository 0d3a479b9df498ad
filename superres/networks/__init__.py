"""One file per architecture: nn.Module classes, or builders over the packages that carry them."""
