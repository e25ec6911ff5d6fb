import android.app.Instrumentation;
import android.content.Context;
import android.content.res.AssetManager;
import androidx.test.platform.app.InstrumentationRegistry;
import java.io.File;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import org.junit.AssumptionViolatedException;
import org.junit.Test;
import org.tensorflow.lite.Recorded;
import org.tensorflow.lite.gpu.CompatibilityList;

/** Runs the tests of classes: APP_ASSETS TEST_ASSETS RECORDED GPU(yes|no) CLASS... */
public final class RunTests {
    public static void main(String[] arguments) throws Exception {
        AssetManager app = new AssetManager(new File(arguments[0]));
        AssetManager tests = new AssetManager(new File(arguments[1]));
        InstrumentationRegistry.registered = new Instrumentation(new Context(tests), new Context(app));
        Recorded.current = new Recorded(new File(arguments[2]).toPath());
        CompatibilityList.supported = arguments[3].equals("yes");
        for (int index = 4; index < arguments.length; index++) {
            Class<?> type = Class.forName(arguments[index]);
            for (Method method : type.getDeclaredMethods()) {
                if (!method.isAnnotationPresent(Test.class)) continue;
                System.out.println(type.getSimpleName() + "." + method.getName() + ": " + outcome(type, method));
            }
        }
    }

    private static String outcome(Class<?> type, Method method) throws Exception {
        try {
            method.invoke(type.getDeclaredConstructor().newInstance());
            return "passed";
        } catch (InvocationTargetException error) {
            Throwable cause = error.getCause();
            if (cause instanceof AssumptionViolatedException) return cause.getMessage();
            if (cause instanceof AssertionError) return "failed: " + cause.getMessage().replace("\n", " / ");
            return "crashed: " + cause;
        }
    }
}
