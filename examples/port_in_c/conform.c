/* The port, held against the golden vectors: version 1 of the conformance protocol (docs/embedding.md) on stdin and
 * stdout. It takes the host to be little-endian, with float in IEEE 754's binary32, as the protocol has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"

enum { MOST_DIMENSIONS = 8 };

static const size_t MOST_BYTES = (size_t)1 << 30;

struct tensor {
    char name[64], dtype[16];
    int rank;
    size_t shape[MOST_DIMENSIONS], bytes;
    void *data;
};

/* What a graph takes or gives of one image. */
struct value {
    const char *name;
    int rank;
    size_t shape[MOST_DIMENSIONS - 1], values;
};

static const struct value IMAGE = {"image", 3, IMAGE_SHAPE, IMAGE_VALUES};
static const struct value RECONSTRUCTION = {"reconstruction", 3, IMAGE_SHAPE, IMAGE_VALUES};
static const struct value LATENT = {"latent", LATENT_RANK, LATENT_SHAPE, LATENT_VALUES};
static const struct value LOGVAR = {"logvar", LATENT_RANK, LATENT_SHAPE, LATENT_VALUES};

/* For what cannot be answered: nobody knows where the next request would begin. */
static void stop(const char *reason)
{
    fprintf(stderr, "port: %s\n", reason);
    exit(EXIT_FAILURE);
}

static void *allocated(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (memory == NULL)
        stop("there is not enough memory");
    return memory;
}

/* Not by a newline in scanf's format: that would go on to eat bytes of a tensor that look like spaces. */
static void end_line(void)
{
    if (getchar() != '\n')
        stop("a line of the runner has more in it than expected");
}

static struct tensor receive(void)
{
    struct tensor tensor = {.rank = 0};
    if (scanf("tensor %63s %15s %d", tensor.name, tensor.dtype, &tensor.rank) != 3)
        stop("the runner announced a tensor and sent none");
    if (tensor.rank < 0 || tensor.rank > MOST_DIMENSIONS)
        stop("a tensor has too many dimensions");
    tensor.bytes = strcmp(tensor.dtype, "uint8") == 0 ? 1 : strcmp(tensor.dtype, "int64") == 0 ? 8 : 4;
    for (int i = 0; i < tensor.rank; i++) {
        if (scanf("%zu", &tensor.shape[i]) != 1)
            stop("the shape of a tensor is no number");
        if (tensor.shape[i] != 0 && tensor.bytes > MOST_BYTES / tensor.shape[i])
            stop("a tensor is too large");
        tensor.bytes *= tensor.shape[i];
    }
    end_line();
    tensor.data = allocated(tensor.bytes);
    if (fread(tensor.data, 1, tensor.bytes, stdin) != tensor.bytes)
        stop("a tensor ends too early");
    return tensor;
}

static void send(const struct value *value, size_t batch, const float *data)
{
    printf("tensor %s float32 %d %zu", value->name, value->rank + 1, batch);
    for (int i = 0; i < value->rank; i++)
        printf(" %zu", value->shape[i]);
    putchar('\n');
    fwrite(data, sizeof *data, batch * value->values, stdout);
}

static int is(const struct tensor *tensor, const struct value *value)
{
    return strcmp(tensor->name, value->name) == 0 && strcmp(tensor->dtype, "float32") == 0
           && tensor->rank == value->rank + 1
           && memcmp(tensor->shape + 1, value->shape, (size_t)value->rank * sizeof *value->shape) == 0;
}

static void run(const char *role, const struct tensor *given)
{
    const int encoder = strcmp(role, "encoder") == 0, decoder = strcmp(role, "decoder") == 0;
    if (!encoder && !decoder && strcmp(role, "autoencoder") != 0) {
        printf("skip there is no graph %s\n", role);
        return;
    }
    if (!is(given, decoder ? &LATENT : &IMAGE)) {
        printf("error the %s takes another tensor than %s\n", role, given->name);
        return;
    }
    const size_t batch = given->shape[0];
    const float *in = given->data;
    float *images = allocated(batch * IMAGE_VALUES * sizeof *images);
    float *latents = allocated(batch * LATENT_VALUES * sizeof *latents);
    float *logvars = allocated(batch * LATENT_VALUES * sizeof *logvars);
    for (size_t i = 0; i < batch; i++) {
        float *latent = latents + i * LATENT_VALUES, *image = images + i * IMAGE_VALUES;
        if (!decoder)
            encode(in + i * IMAGE_VALUES, latent, logvars + i * LATENT_VALUES);
        if (!encoder)
            decode(decoder ? in + i * LATENT_VALUES : latent, image);
    }
    printf("ok %d\n", encoder && HAS_LOGVAR ? 2 : 1);
    if (encoder)
        send(&LATENT, batch, latents);
    if (encoder && HAS_LOGVAR)
        send(&LOGVAR, batch, logvars);
    if (!encoder)
        send(decoder ? &IMAGE : &RECONSTRUCTION, batch, images);
    free(images);
    free(latents);
    free(logvars);
}

static void answer_run(void)
{
    char role[64];
    int count;
    if (scanf("%63s %d", role, &count) != 2)
        stop("a request to run says not what");
    end_line();
    /* Every graph takes one. */
    if (count != 1)
        stop("a request to run has not one tensor");
    struct tensor given = receive();
    run(role, &given);
    free(given.data);
}

int main(void)
{
    int version;
    if (scanf("conform %d", &version) != 1 || version != 1)
        stop("it speaks version 1 of the conformance protocol, on stdin and stdout");
    end_line();
    printf("conform 1\n");
    fflush(stdout);
    char request[16];
    while (scanf("%15s", request) == 1) {
        if (strcmp(request, "run") == 0) {
            answer_run();
        } else if (strcmp(request, "image") == 0) {
            if (scanf("%*[^\n]") == EOF)
                stop("a request ends too early");
            end_line();
            printf("skip it reads no image files\n");
        } else {
            stop("a request is neither run nor image");
        }
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
