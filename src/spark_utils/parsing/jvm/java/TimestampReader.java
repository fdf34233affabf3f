package spark_utils.parsing;

import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;

/** Reads timestamps and dates as `spark_utils/timestamps.py` does, the one grammar: a test holds both equal. */
final class TimestampReader extends ScalarReader {
    private static final long FIRST = LocalDate.of(1, 1, 1).toEpochDay() * 86400;
    private static final long BEYOND = LocalDate.of(10000, 1, 1).toEpochDay() * 86400;
    private final boolean isDate;
    private final boolean isLocal;

    TimestampReader(String name) {
        isDate = name.equals("date");
        isLocal = name.equals("timestamp_ntz");
    }

    Object read(JsonCursor in) {
        int end = in.at + 1;
        while (in.bytes[end] != '"' && in.bytes[end] != '\\') {
            end++;
        }
        if (in.bytes[end] == '"') {
            return moment(in);
        }
        byte[] text = in.string().getBytes(); // written with escapes
        byte[] plain = new byte[text.length + 2];
        System.arraycopy(text, 0, plain, 1, text.length);
        plain[0] = '"';
        plain[plain.length - 1] = '"';
        JsonCursor inside = new JsonCursor(plain, 0, null);
        Object moment = moment(inside);
        RejectedBody.unless(inside.at == plain.length);
        return moment;
    }

    private Object moment(JsonCursor in) {
        int start = in.at + 1;
        RejectedBody.unless(in.bytes[in.at] == '"');
        long days = days(in.bytes, start);
        in.at = start + 10;
        int second = isDate || in.bytes[in.at] == '"' ? 0 : secondOfDay(in);
        int nanos = !isDate && in.bytes[in.at] == '.' ? nanos(in) : 0;
        boolean isLocalTime = in.bytes[in.at] == '"';
        int offset = isDate || isLocalTime ? 0 : offset(in);
        RejectedBody.unless(in.bytes[in.at] == '"' && (isLocalTime || !isLocal));
        in.at++;
        if (isDate) {
            return LocalDate.ofEpochDay(days);
        }
        long seconds = days * 86400 + second - offset;
        RejectedBody.unless(seconds >= FIRST && seconds < BEYOND);
        return isLocal
                ? (Object) LocalDateTime.ofEpochSecond(seconds, nanos, ZoneOffset.UTC)
                : Instant.ofEpochSecond(seconds, nanos);
    }

    private static long days(byte[] text, int start) {
        int year = two(text, start, 99) * 100 + two(text, start + 2, 99);
        int month = two(text, start + 5, 12);
        int day = two(text, start + 8, 31);
        RejectedBody.unless(text[start + 4] == '-' && text[start + 7] == '-' && year > 0);
        return LocalDate.of(year, month, day).toEpochDay();
    }

    /** From `T` or a space to behind hours, minutes or seconds; decimals follow seconds only. */
    private static int secondOfDay(JsonCursor in) {
        byte[] text = in.bytes;
        int at = in.at;
        RejectedBody.unless(text[at] == 'T' || text[at] == ' ');
        int seconds = two(text, at + 1, 23) * 3600;
        in.at = at + 3;
        if (text[at + 3] == ':') {
            seconds += two(text, at + 4, 59) * 60;
            in.at = at + 6;
            if (text[at + 6] == ':') {
                in.at = at + 9;
                return seconds + two(text, at + 7, 59);
            }
        }
        RejectedBody.unless(text[in.at] != '.');
        return seconds;
    }

    private static int two(byte[] text, int at, int most) {
        int tens = text[at] - '0';
        int ones = text[at + 1] - '0';
        int value = tens * 10 + ones;
        RejectedBody.unless(tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 && value <= most);
        return value;
    }

    private static int nanos(JsonCursor in) {
        int first = in.at + 1;
        int end = in.fractionEnd(in.at);
        int last = Math.min(end, first + 6);
        for (int i = last; i < end; i++) {
            RejectedBody.unless(in.bytes[i] == '0'); // nothing is lost but zeros
        }
        int value = (int) in.digits(first, last, 0);
        for (int i = last - first; i < 9; i++) {
            value *= 10;
        }
        in.at = end;
        return value;
    }

    /** Seconds east of Greenwich: `Z`, `+hh`, `+hhmm` or `+hh:mm`. */
    private static int offset(JsonCursor in) {
        byte[] text = in.bytes;
        int at = in.at;
        if (text[at] == 'Z') {
            in.at = at + 1;
            return 0;
        }
        RejectedBody.unless(text[at] == '+' || text[at] == '-');
        int size = two(text, at + 1, 23) * 3600;
        in.at = at + 3;
        if (text[in.at] != '"') {
            int minutes = text[in.at] == ':' ? in.at + 1 : in.at;
            size += two(text, minutes, 59) * 60;
            in.at = minutes + 2;
        }
        return text[at] == '-' ? -size : size;
    }
}
