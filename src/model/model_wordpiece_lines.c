/* Tokens of many texts, for a test that compares them with another tokenizer's: reads each text
 * from stdin as its length in four bytes, little-endian, and its bytes; writes a line of numbers,
 * or "invalid".   model_wordpiece_lines <tokenizer.json> */
#include "model_wordpiece.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct status st = {0};
    struct model_wordpiece *wp = NULL;
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    static char memory[32 << 20];
    if (file == NULL)
        return 2;
    size_t size = fread(memory, 1, sizeof memory, file);
    (void)fclose(file);
    if (!model_wordpiece_open((struct text){memory, size}, &wp, &st)) {
        (void)fprintf(stderr, "%s\n", st.text);
        return 1;
    }
    unsigned char head[4];
    struct engine_tokens tokens = {0};
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        if (size > sizeof memory || fread(memory, 1, size, stdin) != size)
            return 2;
        tokens.count = 0;
        if (!model_wordpiece_encode(wp, (struct text){memory, size}, 1 << 24, &tokens, NULL, &st))
            printf("invalid");
        for (uint32_t i = 0; i < tokens.count; i++)
            printf("%s%d", i > 0 ? " " : "", tokens.at[i]);
        printf("\n");
    }
    engine_tokens_free(&tokens);
    model_wordpiece_close(wp);
    return 0;
}
