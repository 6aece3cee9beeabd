/*
 * WordPiece, as the uncased BERT models tokenize (Wu et al. 2016; Devlin et al. 2019), for English
 * text: lower case, words and punctuation marks apart, every word cut into the longest pieces that
 * the vocabulary has.
 */
#ifndef WORDPIECE_H
#define WORDPIECE_H

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_MOST = 256, WORD_MOST = 100 };

/* The lines of vocab.txt, sorted; the number of a line is the id of its piece. */
typedef struct {
    struct piece {
        char *text;
        int64_t id;
    } *pieces;
    size_t n;
    int64_t begin, end, unknown;
} wordpiece_t;

static int compare_pieces(const void *a, const void *b) {
    return strcmp(((const struct piece *)a)->text, ((const struct piece *)b)->text);
}

static int64_t piece_id(const wordpiece_t *vocabulary, const char *text) {
    const struct piece key = {(char *)(uintptr_t)text, 0};
    const struct piece *found =
        bsearch(&key, vocabulary->pieces, vocabulary->n, sizeof key, compare_pieces);
    return found == NULL ? -1 : found->id;
}

/* Whether the vocabulary could be read. */
static int wordpiece_open(wordpiece_t *vocabulary, const char *path) {
    FILE *file = fopen(path, "r");
    char line[512];
    memset(vocabulary, 0, sizeof *vocabulary);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const size_t n = vocabulary->n++;
        if ((n & (n - 1)) == 0) { /* Room doubles at every power of two. */
            void *room = realloc(vocabulary->pieces, 2 * (n + 1) * sizeof *vocabulary->pieces);
            if (room == NULL)
                break;
            vocabulary->pieces = room;
        }
        line[strcspn(line, "\r\n")] = '\0';
        vocabulary->pieces[n] = (struct piece){malloc(strlen(line) + 1), (int64_t)n};
        if (vocabulary->pieces[n].text == NULL)
            break;
        strcpy(vocabulary->pieces[n].text, line);
    }
    const int whole = file != NULL && vocabulary->n > 0 && feof(file);
    if (file != NULL)
        fclose(file);
    if (!whole)
        return 0;
    qsort(vocabulary->pieces, vocabulary->n, sizeof *vocabulary->pieces, compare_pieces);
    vocabulary->begin = piece_id(vocabulary, "[CLS]");
    vocabulary->end = piece_id(vocabulary, "[SEP]");
    vocabulary->unknown = piece_id(vocabulary, "[UNK]");
    return vocabulary->begin >= 0 && vocabulary->end >= 0 && vocabulary->unknown >= 0;
}

static void wordpiece_close(wordpiece_t *vocabulary) {
    for (size_t i = 0; i < vocabulary->n; i++)
        free(vocabulary->pieces[i].text);
    free(vocabulary->pieces);
}

/* Adds the pieces of one word to `ids`; how many there are then. */
static size_t add_word(const wordpiece_t *vocabulary, const char *word, size_t len, int64_t *ids,
                       size_t n) {
    const size_t before = n;
    for (size_t from = 0; from < len;) {
        char piece[WORD_MOST + 3] = "##";
        size_t to = len;
        int64_t id = -1;
        for (; to > from; to--) {
            char *text = from == 0 ? piece : piece + 2;
            memcpy(text, word + from, to - from);
            text[to - from] = '\0';
            id = piece_id(vocabulary, piece);
            if (id >= 0)
                break;
        }
        if (id < 0 || n >= PIECES_MOST - 1) { /* The whole word is unknown. */
            ids[before] = vocabulary->unknown;
            return before + 1;
        }
        ids[n++] = id;
        from = to;
    }
    return n;
}

/* Writes the ids of `text` to `ids`, which has room for PIECES_MOST, with the marks of beginning
 * and end: how many. What does not fit is left out. */
static size_t wordpiece(const wordpiece_t *vocabulary, const char *text, int64_t *ids) {
    size_t n = 0;
    ids[n++] = vocabulary->begin;
    while (*text != '\0' && n < PIECES_MOST - 1) {
        char word[WORD_MOST];
        size_t len = 0;
        if (isspace((unsigned char)*text)) {
            text++;
            continue;
        }
        do
            word[len++] = (char)tolower((unsigned char)*text++);
        while (len < WORD_MOST && !ispunct((unsigned char)word[0]) && *text != '\0' &&
               !ispunct((unsigned char)*text) && !isspace((unsigned char)*text));
        n = add_word(vocabulary, word, len, ids, n);
    }
    ids[n++] = vocabulary->end;
    return n;
}

#endif
