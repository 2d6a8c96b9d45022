# Reads meta_data.json of a config drive and prints what the demo guest needs from it, one tab-separated line each:
#
#   uuid<TAB>…   hostname<TAB>…   name<TAB>…   key<TAB>… (one line per public key)
#
# Only strings at these places count: the same words deeper down (in "meta", say) are a tenant's own. The text is cut
# at its quotes, so records are by turns structure and string; that is quick, and right for any valid JSON. Control
# characters become spaces: what a tenant writes into a key's comment must not draw on the console.

BEGIN { RS = "\""; in_string = 0; depth = 0; last = ""; pending = "" }

in_string {
    match($0, /\\*$/)
    if (RLENGTH % 2) { # the quote after this piece is escaped, the string goes on
        pending = pending $0 "\""
        next
    }
    string_found(pending $0)
    pending = ""
    in_string = 0
    next
}

{
    for (i = 1; i <= length($0); i++) {
        mark = substr($0, i, 1)
        if (mark == "{" || mark == "[") depth++
        if (mark == "}" || mark == "]") depth--
        if (index("{}[]:,", mark)) last = mark
    }
    in_string = 1
}

function string_found(text) {
    if (last != ":") {
        name[depth] = text
        return
    }
    if (depth == 1 && (name[1] == "uuid" || name[1] == "hostname" || name[1] == "name")) print_clean(name[1], text)
    if (depth == 2 && name[1] == "public_keys") print_keys(text)
}

function print_keys(text,    lines, count, i) {
    count = split(unescape(text), lines, "\n")
    for (i = 1; i <= count; i++) if (lines[i] ~ /[^ \t\r]/) print_line("key", lines[i])
}

function print_clean(field, text) {
    print_line(field, unescape(text))
}

function print_line(field, text) {
    gsub(/[\001-\037\177]/, " ", text)
    sub(/^ +/, "", text)
    sub(/ +$/, "", text)
    printf "%s\t%s\n", field, text
}

function unescape(text,    out, at, code) {
    out = ""
    while ((at = index(text, "\\")) > 0) {
        out = out substr(text, 1, at - 1)
        code = substr(text, at + 1, 1)
        if (code == "u") {
            out = out utf8(hexadecimal(substr(text, at + 2, 4)))
            text = substr(text, at + 6)
            continue
        }
        if (code == "n") code = "\n"
        else if (index("bfrt", code)) code = " "
        out = out code
        text = substr(text, at + 2)
    }
    return out text
}

function hexadecimal(digits,    i, value) {
    value = 0
    for (i = 1; i <= length(digits); i++) {
        value = value * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
    }
    return value
}

function utf8(point) { # halves of surrogate pairs have no form of their own
    if (point < 32 || (point >= 55296 && point < 57344)) return "?"
    if (point < 128) return sprintf("%c", point)
    if (point < 2048) return sprintf("%c%c", 192 + int(point / 64), 128 + point % 64)
    return sprintf("%c%c%c", 224 + int(point / 4096), 128 + int(point / 64) % 64, 128 + point % 64)
}
