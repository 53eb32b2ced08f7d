/* The port itself: an encoder and a decoder, as they would go onto a device.
 *
 * No allocation, no files, no library but libm. convert.py writes sizes.h and weights.h from a bundle.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "sizes.h"

enum kind {
    END, /* of a list of layers */
    LINEAR,
    CONVOLUTION,
    TRANSPOSED_CONVOLUTION,
    RELU,
    LEAKY_RELU,
    ELU,
    SIGMOID,
    SCALE, /* each channel times its weight, plus its bias */
    KEEP,  /* what comes in, for the next ADD */
    ADD    /* what was kept */
};

/* Channels, height and width are of what comes in; a vector has a height and a width of 1. */
struct layer {
    enum kind kind;
    int channels, height, width;
    int out_channels, kernel, stride, padding;
    const float *weight; /* as PyTorch has it: [out, in], [out, in, kernel, kernel]; transposed: [in, out, ...] */
    const float *bias;
};

/* image: IMAGE_SHAPE, values in [0, 1]; latent and logvar: LATENT_SHAPE. logvar is left alone without HAS_LOGVAR. */
void encode(const float *image, float *latent, float *logvar);

/* image: IMAGE_SHAPE, clamped to [0, 1]. */
void decode(const float *latent, float *image);

#endif
