package android.app;

import android.content.Context;

/** The context is the test's own; the target's is that of the app. */
public class Instrumentation {
    private final Context context;
    private final Context target;

    public Instrumentation(Context context, Context target) {
        this.context = context;
        this.target = target;
    }

    public Context getContext() {
        return context;
    }

    public Context getTargetContext() {
        return target;
    }
}
