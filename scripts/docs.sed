# What Doxygen reads, made so that it understands it.

# Links from the root, where it finds pages and images, and without the anchors that other renderers make of headings.
s,](\(\.\./\)*,](,g
s,](\([^)#]*\.md\)#[^)]*,](\1,g

# The rules at the top of toolpool.h are for every reader of the file; here they stand in front of its page.
1,/^ \*\/$/ {
    s,^/\*$,/** @file\n@verbatim,
    s,^ \*/$,@endverbatim */,
    s,^ \* \?,,
}
