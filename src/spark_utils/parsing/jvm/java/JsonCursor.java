package spark_utils.parsing;

import java.nio.charset.StandardCharsets;
import org.apache.spark.unsafe.types.UTF8String;

/** A place in the bytes of one body, and the tokens of strict JSON (RFC 8259) that can be read from there. */
final class JsonCursor {
    private static final int MOST_EXACT_DIGITS = 15; // any integer of so many digits is a double without rounding
    private static final double[] TENS = new double[MOST_EXACT_DIGITS + 1];

    static {
        TENS[0] = 1;
        for (int i = 1; i < TENS.length; i++) {
            TENS[i] = TENS[i - 1] * 10;
        }
    }

    final byte[] bytes;
    final UnknownFields unknown;
    int at;
    private final int maxDepth;
    private int depth;

    JsonCursor(byte[] bytes, int maxDepth, UnknownFields unknown) {
        this.bytes = bytes;
        this.maxDepth = maxDepth;
        this.unknown = unknown;
    }

    void skipSpace() {
        while (at < bytes.length && (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\r' || bytes[at] == '\t')) {
            at++;
        }
    }

    /** Skip white space and return the byte behind it, which stays. */
    byte look() {
        byte found = bytes[at];
        if (found > ' ') {
            return found;
        }
        skipSpace();
        return bytes[at];
    }

    void open(int bracket) {
        RejectedBody.unless(bytes[at] == bracket && ++depth <= maxDepth);
        at++;
    }

    /** Right behind an opening bracket: whether there is nothing inside. */
    boolean isEmpty(int closing) {
        if (look() != closing) {
            return false;
        }
        at++;
        depth--;
        return true;
    }

    /** Behind a member: whether another one follows, or the closing bracket. */
    boolean hasNext(int closing) {
        byte found = look();
        at++;
        if (found == ',') {
            return true;
        }
        RejectedBody.unless(found == closing);
        depth--;
        return false;
    }

    /** Between key and value; stands at the value then. */
    void colon() {
        RejectedBody.unless(look() == ':');
        at++;
        look();
    }

    boolean takeNull() {
        if (bytes[at] != 'n') {
            return false;
        }
        word("null");
        return true;
    }

    void word(String word) {
        for (int i = 0; i < word.length(); i++) {
            RejectedBody.unless(bytes[at + i] == word.charAt(i));
        }
        at += word.length();
    }

    /** Go behind this key if it is the next one, written without escapes; never if it cannot be (null). */
    boolean takeKey(byte[] name) {
        if (name == null) {
            return false;
        }
        int first = at + 1;
        int end = first + name.length;
        if (end >= bytes.length || bytes[end] != '"' || bytes[at] != '"') {
            return false;
        }
        for (int i = 0; i < name.length; i++) {
            if (bytes[first + i] != name[i]) {
                return false;
            }
        }
        at = end + 1;
        return true;
    }

    /** The text of a string; it shares the bytes of the body where it can. */
    UTF8String string() {
        byte[] text = bytes;
        int first = at + 1;
        RejectedBody.unless(text[at] == '"');
        int end = first;
        while (text[end] >= ' ' && text[end] != '"' && text[end] != '\\') {
            end++;
        }
        if (text[end] != '"') {
            return unusualString(first, end);
        }
        at = end + 1;
        return UTF8String.fromBytes(text, first, end - first);
    }

    private UTF8String unusualString(int first, int from) {
        int end = from;
        boolean escaped = false;
        while (bytes[end] != '"') {
            if (bytes[end] == '\\') {
                escaped = true;
                end += 2;
            } else {
                RejectedBody.unless(bytes[end] < 0 || bytes[end] >= ' ');
                end = bytes[end] < 0 ? Utf8.behind(bytes, end) : end + 1;
            }
        }
        at = end + 1;
        return escaped ? Utf8.unescaped(bytes, first, end) : UTF8String.fromBytes(bytes, first, end - first);
    }

    /** An integer within a long, in integer notation. */
    long integer() {
        byte[] text = bytes;
        boolean negative = text[at] == '-';
        int first = negative ? at + 1 : at;
        int end = first;
        long number = 0;
        while (text[end] >= '0' && text[end] <= '9') {
            number = number * 10 + (text[end++] - '0');
        }
        boolean isInteger = end == first + 1 || end > first && text[first] != '0' && end - first <= 19;
        RejectedBody.unless(isInteger && text[end] != '.' && text[end] != 'e' && text[end] != 'E');
        RejectedBody.unless(number >= 0 || negative && number == Long.MIN_VALUE); // 19 digits too many come out negative
        at = end;
        return negative ? -number : number;
    }

    /** The nearest double, if that is finite. */
    double number() {
        byte[] text = bytes;
        boolean negative = text[at] == '-';
        int first = negative ? at + 1 : at;
        int end = first;
        long digits = 0;
        while (text[end] >= '0' && text[end] <= '9') {
            digits = digits * 10 + (text[end++] - '0');
        }
        int point = end;
        if (text[end] == '.') {
            end++;
            while (text[end] >= '0' && text[end] <= '9') {
                digits = digits * 10 + (text[end++] - '0');
            }
        }
        boolean isPlain = (point == first + 1 || point > first && text[first] != '0') && end != point + 1;
        if (!isPlain || text[end] == 'e' || text[end] == 'E' || end - first > MOST_EXACT_DIGITS) {
            double parsed = Double.parseDouble(numberText());
            RejectedBody.unless(!Double.isInfinite(parsed));
            return parsed;
        }
        at = end;
        double exact = end == point ? (double) digits : (double) digits / TENS[end - point - 1];
        return negative ? -exact : exact;
    }

    /** A number in any notation, as it was written. */
    String numberText() {
        int start = at;
        int end = fractionEnd(digitsEnd(bytes[start] == '-' ? start + 1 : start));
        if (bytes[end] == 'e' || bytes[end] == 'E') {
            int first = bytes[end + 1] == '+' || bytes[end + 1] == '-' ? end + 2 : end + 1;
            end = first;
            while (isDigit(end)) {
                end++;
            }
            RejectedBody.unless(end > first);
        }
        at = end;
        return new String(bytes, start, end - start, StandardCharsets.ISO_8859_1);
    }

    /** Behind the digits of an integer part: at least one, and no zero before others. */
    int digitsEnd(int first) {
        int end = first;
        while (isDigit(end)) {
            end++;
        }
        RejectedBody.unless(end == first + 1 || end > first && bytes[first] != '0');
        return end;
    }

    /** Behind the point and its digits, if there is a point. */
    int fractionEnd(int point) {
        if (bytes[point] != '.') {
            return point;
        }
        int end = point + 1;
        while (isDigit(end)) {
            end++;
        }
        RejectedBody.unless(end > point + 1);
        return end;
    }

    boolean isDigit(int i) {
        return bytes[i] >= '0' && bytes[i] <= '9';
    }

    /** The digits from one place to another, read behind those of `before`; the caller knows that they fit. */
    long digits(int first, int end, long before) {
        long number = before;
        for (int i = first; i < end; i++) {
            number = number * 10 + (bytes[i] - '0');
        }
        return number;
    }
}
