/*
 * Embeds sentences with a PyTorch model and prints, for some of them, the sentence that is closest
 * in meaning.
 *
 *     sentences MODEL VOCABULARY TEXT [DEVICES]
 *
 * MODEL and VOCABULARY are sentences.pt (or sentences.pt2) and vocab.txt of
 * examples/python/export_sentences.py; TEXT has one sentence a line (examples/data/sentences.txt).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <toolpool.h>

#include "wordpiece.h"

enum { LINE_MOST = 1024, SHOWN = 10 };

typedef struct {
    char **sentences;
    int64_t **ids;
    toolpool_tensor_t *tokens; /* views of the ids */
    size_t n;
} text_t;

static void *checked(void *memory) {
    if (memory == NULL) {
        fputs("sentences: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void *copied(const void *from, size_t bytes) {
    return memcpy(checked(malloc(bytes)), from, bytes);
}

static void add_sentence(text_t *text, const wordpiece_t *vocabulary, const char *sentence) {
    const size_t i = text->n++;
    int64_t ids[PIECES_MOST];
    const size_t n = wordpiece(vocabulary, sentence, ids);
    text->sentences = checked(realloc(text->sentences, text->n * sizeof *text->sentences));
    text->ids = checked(realloc(text->ids, text->n * sizeof *text->ids));
    text->tokens = checked(realloc(text->tokens, text->n * sizeof *text->tokens));
    text->sentences[i] = copied(sentence, strlen(sentence) + 1);
    text->ids[i] = copied(ids, n * sizeof *ids);

    toolpool_tensor_t tokens = TOOLPOOL_TENSOR_INIT; /* int64 [n], dense */
    tokens.data = text->ids[i];
    tokens.bytes = n * sizeof *ids;
    tokens.dtype = TOOLPOOL_INT64;
    tokens.ndim = 1;
    tokens.shape[0] = (int64_t)n;
    text->tokens[i] = tokens;
}

static int read_text(text_t *text, const wordpiece_t *vocabulary, const char *path) {
    FILE *file = fopen(path, "r");
    char line[LINE_MOST];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0')
            add_sentence(text, vocabulary, line);
    }
    if (file != NULL)
        fclose(file);
    return text->n > 0;
}

static void free_text(text_t *text) {
    for (size_t i = 0; i < text->n; i++) {
        free(text->sentences[i]);
        free(text->ids[i]);
    }
    free(text->sentences);
    free(text->ids);
    free(text->tokens);
}

/* What the model is told beside its file: batches are padded, and the input 1 says what is padding.
 */
static int set_options(toolpool_tool_t *tool, const char *model, toolpool_error_t **err) {
    const char *end = strrchr(model, '.');
    const int compiled = end != NULL && strcmp(end, ".pt2") == 0;
    return toolpool_tool_set(tool, "batch", "pad", err) == TOOLPOOL_OK &&
           toolpool_tool_set(tool, "mask", "1", err) == TOOLPOOL_OK &&
           (!compiled || toolpool_tool_set(tool, "batch_fill", "2", err) == TOOLPOOL_OK);
}

static float product(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The vectors are of length 1, so their product is the cosine of the angle between them. */
static void print_neighbours(const text_t *text, const float *vectors, size_t width) {
    for (size_t shown = 0; shown < SHOWN && shown < text->n; shown++) {
        const size_t i = shown * text->n / SHOWN + text->n / (4 * SHOWN);
        size_t best = i == 0;
        float cosine = -2;
        for (size_t j = 0; j < text->n; j++) {
            const float to_j = product(vectors + i * width, vectors + j * width, width);
            if (j != i && to_j > cosine)
                cosine = to_j, best = j;
        }
        printf("%s\n  %.2f  %s\n", text->sentences[i], (double)cosine, text->sentences[best]);
    }
}

int main(int argc, char **argv) {
    if (argc < 4 || argv[1][0] == '\0') {
        fputs("usage: sentences MODEL VOCABULARY TEXT [DEVICES]\n", stderr);
        return argc < 2 || argv[1][0] == '\0' ? 77
                                              : 2; /* Without a model there is nothing to test. */
    }
    wordpiece_t vocabulary;
    text_t text = {0};
    if (!wordpiece_open(&vocabulary, argv[2]) || !read_text(&text, &vocabulary, argv[3])) {
        fprintf(stderr, "sentences: %s or %s cannot be read\n", argv[2], argv[3]);
        return 1;
    }
    toolpool_error_t *err = NULL;
    toolpool_t *pool = NULL;
    toolpool_tool_t *model = NULL;
    toolpool_items_t *items = NULL;
    toolpool_results_t *results = NULL;
    toolpool_tensor_t vectors = TOOLPOOL_TENSOR_INIT;
    float *buffer = NULL;

    int failed =
        toolpool_open(argc > 4 ? argv[4] : "cpu*2", &pool, &err) < 0 ||
        toolpool_tool_open("auto", argv[1], &model, &err) < 0 ||
        !set_options(model, argv[1], &err) ||
        toolpool_items_from_tensors(NULL, text.tokens, text.n, NULL, NULL, &items, &err) < 0 ||
        toolpool_run(pool, model, items, &results, &err) < 0 ||
        toolpool_results_stack(results, "output", NULL, 0, &vectors, &err) < 0;
    if (!failed) {
        buffer = checked(malloc(vectors.bytes));
        failed = toolpool_results_stack(results, "output", buffer, vectors.bytes, NULL, &err) < 0;
    }
    if (failed)
        fprintf(stderr, "sentences: %s\n", toolpool_error_message(err));
    else
        print_neighbours(&text, buffer, (size_t)vectors.shape[1]);

    free(buffer);
    toolpool_results_free(results);
    toolpool_items_free(items);
    toolpool_tool_free(model);
    toolpool_close(pool);
    toolpool_error_free(err);
    free_text(&text);
    wordpiece_close(&vocabulary);
    return failed;
}
