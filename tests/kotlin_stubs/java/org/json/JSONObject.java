package org.json;

import java.util.Map;

public class JSONObject {
    private final Map<String, Object> members;

    public JSONObject(String text) {
        this(new Reader(text).object());
    }

    JSONObject(Map<String, Object> members) {
        this.members = members;
    }

    private Object get(String name) {
        Object found = members.get(name);
        if (found == null) throw new JSONException("No value for " + name);
        return found;
    }

    public String getString(String name) {
        return (String) get(name);
    }

    public int getInt(String name) {
        return ((Double) get(name)).intValue();
    }

    public double getDouble(String name) {
        return (Double) get(name);
    }

    public JSONObject getJSONObject(String name) {
        return (JSONObject) get(name);
    }

    public JSONArray getJSONArray(String name) {
        return (JSONArray) get(name);
    }
}
