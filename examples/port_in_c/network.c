#include "network.h"

#include <math.h>
#include <string.h>

#include "weights.h"

/* What a layer takes and what it gives, in turns, and what a residual block adds to its end. */
static float values[2][LARGEST];
static float kept[LARGEST];

static void linear(const struct layer *layer, const float *in, float *out)
{
    const float *weight = layer->weight;
    for (int o = 0; o < layer->out_channels; o++) {
        float sum = layer->bias[o];
        for (int i = 0; i < layer->channels; i++)
            sum += *weight++ * in[i];
        out[o] = sum;
    }
}

static int convolved(const struct layer *layer, int length)
{
    return (length + 2 * layer->padding - layer->kernel) / layer->stride + 1;
}

static void convolution(const struct layer *layer, const float *in, float *out)
{
    const int kernel = layer->kernel, height = layer->height, width = layer->width;
    const int out_height = convolved(layer, height), out_width = convolved(layer, width);
    for (int o = 0; o < layer->out_channels; o++)
        for (int out_y = 0; out_y < out_height; out_y++)
            for (int out_x = 0; out_x < out_width; out_x++) {
                float sum = layer->bias[o];
                for (int c = 0; c < layer->channels; c++)
                    for (int ky = 0; ky < kernel; ky++)
                        for (int kx = 0; kx < kernel; kx++) {
                            const int y = out_y * layer->stride + ky - layer->padding;
                            const int x = out_x * layer->stride + kx - layer->padding;
                            if (y >= 0 && y < height && x >= 0 && x < width)
                                sum += layer->weight[((o * layer->channels + c) * kernel + ky) * kernel + kx]
                                       * in[(c * height + y) * width + x];
                        }
                *out++ = sum;
            }
}

static int transposed(const struct layer *layer, int length)
{
    return (length - 1) * layer->stride + layer->kernel - 2 * layer->padding;
}

/* Every value that comes in is spread over a kernel's worth of what goes out. */
static void transposed_convolution(const struct layer *layer, const float *in, float *out)
{
    const int kernel = layer->kernel;
    const int out_height = transposed(layer, layer->height), out_width = transposed(layer, layer->width);
    for (int o = 0; o < layer->out_channels; o++)
        for (int i = 0; i < out_height * out_width; i++)
            out[o * out_height * out_width + i] = layer->bias[o];
    for (int c = 0; c < layer->channels; c++)
        for (int y = 0; y < layer->height; y++)
            for (int x = 0; x < layer->width; x++, in++)
                for (int o = 0; o < layer->out_channels; o++)
                    for (int ky = 0; ky < kernel; ky++)
                        for (int kx = 0; kx < kernel; kx++) {
                            const int out_y = y * layer->stride + ky - layer->padding;
                            const int out_x = x * layer->stride + kx - layer->padding;
                            if (out_y >= 0 && out_y < out_height && out_x >= 0 && out_x < out_width)
                                out[(o * out_height + out_y) * out_width + out_x] +=
                                    layer->weight[((c * layer->out_channels + o) * kernel + ky) * kernel + kx] * *in;
                        }
}

static float activated(enum kind kind, float x)
{
    switch (kind) {
    case RELU:
        return x < 0.0f ? 0.0f : x;
    case LEAKY_RELU:
        return x < 0.0f ? 0.01f * x : x;
    case ELU:
        return x < 0.0f ? expm1f(x) : x;
    case SIGMOID:
        return 1.0f / (1.0f + expf(-x));
    default:
        return x;
    }
}

/* One layer after another. What comes in and what is returned is in one of the two buffers; what comes in is still
 * there afterwards if the first layer is none of those that work in place. */
static float *through(const struct layer *layer, float *in)
{
    for (; layer->kind != END; layer++) {
        const int count = layer->channels * layer->height * layer->width;
        float *out = in == values[0] ? values[1] : values[0];
        switch (layer->kind) {
        case LINEAR:
            linear(layer, in, out);
            in = out;
            break;
        case CONVOLUTION:
            convolution(layer, in, out);
            in = out;
            break;
        case TRANSPOSED_CONVOLUTION:
            transposed_convolution(layer, in, out);
            in = out;
            break;
        case SCALE:
            for (int i = 0; i < count; i++) {
                const int channel = i / (layer->height * layer->width);
                in[i] = in[i] * layer->weight[channel] + layer->bias[channel];
            }
            break;
        case KEEP:
            memcpy(kept, in, (size_t)count * sizeof *in);
            break;
        case ADD:
            for (int i = 0; i < count; i++)
                in[i] += kept[i];
            break;
        default:
            for (int i = 0; i < count; i++)
                in[i] = activated(layer->kind, in[i]);
        }
    }
    return in;
}

void encode(const float *image, float *latent, float *logvar)
{
    memcpy(values[0], image, IMAGE_VALUES * sizeof *image);
    float *features = through(trunk, values[0]);
    memcpy(latent, through(latent_head, features), LATENT_VALUES * sizeof *latent);
#if HAS_LOGVAR
    memcpy(logvar, through(logvar_head, features), LATENT_VALUES * sizeof *logvar);
#else
    (void)logvar;
#endif
}

void decode(const float *latent, float *image)
{
    memcpy(values[0], latent, LATENT_VALUES * sizeof *latent);
    const float *raw = through(decoder, values[0]);
    /* NaN is neither below 0 nor above 1 and stays NaN, as in PyTorch: a clamp must not hide it. */
    for (int i = 0; i < IMAGE_VALUES; i++)
        image[i] = raw[i] < 0.0f ? 0.0f : raw[i] > 1.0f ? 1.0f : raw[i];
}
