package org.json;

import java.util.List;

public class JSONArray {
    private final List<Object> members;

    JSONArray(List<Object> members) {
        this.members = members;
    }

    public int length() {
        return members.size();
    }

    public String getString(int place) {
        return (String) members.get(place);
    }

    public int getInt(int place) {
        return ((Double) members.get(place)).intValue();
    }

    public JSONObject getJSONObject(int place) {
        return (JSONObject) members.get(place);
    }
}
