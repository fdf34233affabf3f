package spark_utils.parsing;

import org.apache.spark.unsafe.types.UTF8String;

/** Strings of JSON that are not plain ASCII: well-formed UTF-8 (RFC 3629), and escapes. */
final class Utf8 {
    private static final String ESCAPES = "\"\\/bfnrt";
    private static final String MEANINGS = "\"\\/\b\f\n\r\t";

    private Utf8() {}

    /** The place behind the character that begins at `i` with a byte above 127. */
    static int behind(byte[] bytes, int i) {
        int first = bytes[i] & 0xFF;
        int second = bytes[i + 1] & 0xFF;
        if (first >= 0xC2 && first <= 0xDF) {
            RejectedBody.unless(isNext(second));
            return i + 2;
        }
        if (first >= 0xE0 && first <= 0xEF) {
            boolean shortest = first != 0xE0 || second >= 0xA0;
            boolean whole = first != 0xED || second <= 0x9F; // no half of a surrogate pair
            RejectedBody.unless(shortest && whole && isNext(second) && isNext(bytes[i + 2]));
            return i + 3;
        }
        boolean shortest = first != 0xF0 || second >= 0x90;
        boolean inRange = first != 0xF4 || second <= 0x8F;
        RejectedBody.unless(first >= 0xF0 && first <= 0xF4 && shortest && inRange);
        RejectedBody.unless(isNext(second) && isNext(bytes[i + 2]) && isNext(bytes[i + 3]));
        return i + 4;
    }

    private static boolean isNext(int value) {
        return (value & 0xC0) == 0x80;
    }

    /** The text between two quotes, which holds escapes. */
    static UTF8String unescaped(byte[] bytes, int first, int end) {
        byte[] text = new byte[end - first];
        int length = 0;
        int i = first;
        while (i < end) {
            if (bytes[i] != '\\') {
                text[length++] = bytes[i++];
            } else if (bytes[i + 1] != 'u') {
                int escape = ESCAPES.indexOf(bytes[i + 1]);
                RejectedBody.unless(escape >= 0);
                text[length++] = (byte) MEANINGS.charAt(escape);
                i += 2;
            } else {
                int unit = unit(bytes, i, end);
                boolean isPair = unit >= 0xD800 && unit <= 0xDFFF;
                length = write(text, length, isPair ? joined(unit, unit(bytes, i + 6, end)) : unit);
                i += isPair ? 12 : 6;
            }
        }
        return UTF8String.fromBytes(text, 0, length);
    }

    /** The four hexadecimal digits of an escape. */
    private static int unit(byte[] bytes, int i, int end) {
        RejectedBody.unless(i + 6 <= end && bytes[i] == '\\' && bytes[i + 1] == 'u');
        int unit = 0;
        for (int place = i + 2; place < i + 6; place++) {
            int digit = bytes[place] < 0 ? -1 : Character.digit((char) bytes[place], 16);
            RejectedBody.unless(digit >= 0);
            unit = unit * 16 + digit;
        }
        return unit;
    }

    private static int joined(int high, int low) {
        RejectedBody.unless(high <= 0xDBFF && low >= 0xDC00 && low <= 0xDFFF);
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }

    private static int write(byte[] text, int length, int character) {
        if (character < 0x80) {
            text[length] = (byte) character;
            return length + 1;
        }
        int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
        int lead = more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0;
        text[length] = (byte) (lead | character >> 6 * more);
        for (int i = 1; i <= more; i++) {
            text[length + i] = (byte) (0x80 | character >> 6 * (more - i) & 0x3F);
        }
        return length + more + 1;
    }
}
