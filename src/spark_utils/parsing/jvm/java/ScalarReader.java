package spark_utils.parsing;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.unsafe.types.UTF8String;

/** Reads numbers, texts, and what texts stand for; see `scalars.py` for what each type takes. */
abstract class ScalarReader extends ValueReader {
    static ValueReader of(DataType type) {
        if (type instanceof StringType) { // of any collation
            return new StringReader();
        }
        if (type instanceof DecimalType) {
            return new DecimalReader((DecimalType) type);
        }
        String name = type.typeName();
        if (name.equals("double") || name.equals("float")) {
            return new FloatReader(name.equals("float"));
        }
        if (name.equals("boolean")) {
            return new BooleanReader();
        }
        if (name.equals("binary")) {
            return new BinaryReader();
        }
        if (name.equals("date") || name.startsWith("timestamp")) {
            return new TimestampReader(name);
        }
        return new IntegerReader(name);
    }

    private static final class StringReader extends ScalarReader {
        Object read(JsonCursor in) {
            return in.string();
        }
    }

    private static final class BooleanReader extends ScalarReader {
        Object read(JsonCursor in) {
            boolean value = in.bytes[in.at] == 't';
            in.word(value ? "true" : "false");
            return Boolean.valueOf(value);
        }
    }

    private static final class IntegerReader extends ScalarReader {
        private final int bytes;

        IntegerReader(String name) {
            bytes = name.equals("byte") ? 1 : name.equals("short") ? 2 : name.equals("integer") ? 4 : 8;
            if (bytes == 8 && !name.equals("long")) {
                throw new IllegalArgumentException(name);
            }
        }

        Object read(JsonCursor in) {
            long value = in.integer();
            switch (bytes) {
                case 1:
                    RejectedBody.unless(value == (byte) value);
                    return Byte.valueOf((byte) value);
                case 2:
                    RejectedBody.unless(value == (short) value);
                    return Short.valueOf((short) value);
                case 4:
                    RejectedBody.unless(value == (int) value);
                    return Integer.valueOf((int) value);
                default:
                    return Long.valueOf(value);
            }
        }
    }

    private static final class FloatReader extends ScalarReader {
        private final boolean isSingle;

        FloatReader(boolean isSingle) {
            this.isSingle = isSingle;
        }

        Object read(JsonCursor in) {
            if (!isSingle) {
                return Double.valueOf(in.number());
            }
            float value = Float.parseFloat(in.numberText()); // rounded once, from the text
            RejectedBody.unless(!Float.isInfinite(value));
            return Float.valueOf(value);
        }
    }

    /** A number, or a string that holds one: by a long where 18 digits do and there is no exponent. */
    private static final class DecimalReader extends ScalarReader {
        private static final int DIGITS_OF_LONG = 18;
        private static final int LONGEST_EXPONENT = 9; // digits, as in scalars.py
        private static final Pattern NOTATION =
                Pattern.compile("([+-]?+)([0-9]*+)\\.?+([0-9]*+)(?:[eE]([+-]?+)(?=[0-9])0*+([0-9]*+))?+");
        private final int precision;
        private final int scale;

        DecimalReader(DecimalType type) {
            precision = type.precision();
            scale = type.scale();
        }

        Object read(JsonCursor in) {
            byte[] text = in.bytes;
            boolean isText = text[in.at] == '"';
            int start = isText ? in.at + 1 : in.at;
            int first = text[start] == '-' ? start + 1 : start;
            int point = first;
            while (in.isDigit(point)) {
                point++;
            }
            int end = point;
            while (end == point ? text[end] == '.' : in.isDigit(end)) {
                end++;
            }
            boolean isPlain = isText ? text[end] == '"' : text[end] != 'e' && text[end] != 'E';
            if (!isPlain || !isShort(point - first, end - point) || text[first] == '0' && point > first + 1) {
                return exact(isText ? in.string().toString() : in.numberText());
            }
            in.at = isText ? end + 1 : end;
            long number = in.digits(first, point, 0);
            number = end == point ? number : in.digits(point + 1, end, number);
            number *= tens(Math.min(scale, scale - (end - point - 1)));
            RejectedBody.unless(number < tens(precision));
            return Decimal.createUnsafe(first > start ? -number : number, precision, scale);
        }

        /** Whether a long holds it; the length of a fraction counts its point. */
        private boolean isShort(int whole, int fraction) {
            boolean hasDigits = whole > 0 && fraction != 1;
            return hasDigits && fraction - 1 <= scale && whole + scale <= DIGITS_OF_LONG && precision <= DIGITS_OF_LONG;
        }

        private Object exact(String literal) {
            Matcher parts = NOTATION.matcher(literal);
            RejectedBody.unless(parts.matches() && parts.group(2).length() + parts.group(3).length() > 0);
            String digits = parts.group(2) + parts.group(3);
            int first = 0;
            int end = digits.length();
            while (end > 0 && digits.charAt(end - 1) == '0') {
                end--;
            }
            if (end == 0) {
                return BigDecimal.valueOf(0, scale);
            }
            while (digits.charAt(first) == '0') {
                first++;
            }
            digits = digits.substring(first, end);
            long exponent = parts.group(2).length() - end + power(parts.group(4), parts.group(5));
            RejectedBody.unless(digits.length() + exponent <= precision - scale && exponent >= -scale);
            BigInteger unscaled = new BigInteger(digits).multiply(BigInteger.TEN.pow((int) exponent + scale));
            return new BigDecimal("-".equals(parts.group(1)) ? unscaled.negate() : unscaled, scale);
        }

        private static long power(String sign, String magnitude) {
            if (magnitude == null || magnitude.isEmpty()) {
                return 0;
            }
            long size = magnitude.length() > LONGEST_EXPONENT ? 1000000000L : Long.parseLong(magnitude);
            return "-".equals(sign) ? -size : size;
        }

        private static long tens(int count) {
            long value = 1;
            for (int i = 0; i < count; i++) {
                value *= 10;
            }
            return value;
        }
    }

    /** Base64 (RFC 4648) with padding. */
    private static final class BinaryReader extends ScalarReader {
        Object read(JsonCursor in) {
            UTF8String text = in.string();
            RejectedBody.unless(text.numBytes() % 4 == 0);
            return Base64.getDecoder().decode(text.getBytes());
        }
    }
}
