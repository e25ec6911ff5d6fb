package org.json;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON text (RFC 8259); numbers are doubles. */
final class Reader {
    private final String text;
    private int at;

    Reader(String text) {
        this.text = text;
    }

    Map<String, Object> object() {
        Map<String, Object> members = new HashMap<>();
        expect('{');
        while (peek() != '}') {
            String name = string();
            expect(':');
            members.put(name, value());
            if (peek() == ',') at++;
        }
        at++;
        return members;
    }

    private List<Object> array() {
        List<Object> members = new ArrayList<>();
        expect('[');
        while (peek() != ']') {
            members.add(value());
            if (peek() == ',') at++;
        }
        at++;
        return members;
    }

    private Object value() {
        switch (peek()) {
            case '{':
                return new JSONObject(object());
            case '[':
                return new JSONArray(array());
            case '"':
                return string();
            default:
                int start = at;
                while (",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
                String word = text.substring(start, at);
                if (word.equals("null")) return null;
                if (word.equals("true") || word.equals("false")) return Boolean.valueOf(word);
                return Double.valueOf(word);
        }
    }

    private String string() {
        expect('"');
        StringBuilder made = new StringBuilder();
        for (char next = text.charAt(at++); next != '"'; next = text.charAt(at++)) {
            made.append(next == '\\' ? escaped(text.charAt(at++)) : next);
        }
        return made.toString();
    }

    private char escaped(char letter) {
        if (letter != 'u') {
            int known = "bfnrt".indexOf(letter);
            return known < 0 ? letter : "\b\f\n\r\t".charAt(known);
        }
        at += 4;
        return (char) Integer.parseInt(text.substring(at - 4, at), 16);
    }

    private char peek() {
        while (Character.isWhitespace(text.charAt(at))) at++;
        return text.charAt(at);
    }

    private void expect(char wanted) {
        if (peek() != wanted) throw new JSONException("Expected " + wanted + " at " + at);
        at++;
    }
}
