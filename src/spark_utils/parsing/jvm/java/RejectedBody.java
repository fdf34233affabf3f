package spark_utils.parsing;

/** Raised where a body turns out not to be good; one for all, without a stack trace, since it says nothing else. */
final class RejectedBody extends RuntimeException {
    private static final RejectedBody ONLY = new RejectedBody();

    private RejectedBody() {
        super(null, null, false, false);
    }

    static void unless(boolean certain) {
        if (!certain) {
            throw ONLY;
        }
    }
}
