// The C++ user's program of the design, word for word.
#include "../design/embed.cpp"
