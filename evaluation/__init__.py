"""Measures of quality: MATLAB bicubic, PSNR and SSIM by the convention of the literature."""
