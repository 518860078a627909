// JDBC with org.xerial:sqlite-jdbc. The protocol is that of ../python/protocol.py.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

public class Client {
    static Connection db;

    static String quoted(Object value) {
        if (value == null || value instanceof Number) return String.valueOf(value);
        return "\"" + String.valueOf(value).replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    static Object value(String sql) throws SQLException {
        try (var statement = db.createStatement()) {
            if (!statement.execute(sql)) return null;
            try (var rows = statement.getResultSet()) {
                return rows.next() ? rows.getObject(1) : null;
            }
        }
    }

    static String write(int number) {
        int failed = 0;
        String why = "";
        for (int at = 0; at < number; at++) {
            try (var statement = db.prepareStatement("INSERT INTO item(body) VALUES(?)")) {
                statement.setString(1, ("row " + at + " ").repeat(20));
                statement.executeUpdate();
            } catch (SQLException error) {
                failed++;
                if (why.isEmpty()) why = error.toString();
            }
        }
        return "{\"failed\": " + failed + ", \"why\": " + quoted(why) + "}";
    }

    static String answer(String command, String rest) throws SQLException {
        switch (command) {
            case "open": db = DriverManager.getConnection("jdbc:sqlite:" + rest); return "{}";
            case "value": return "{\"value\": " + quoted(value(rest)) + "}";
            case "write": return write(Integer.parseInt(rest));
            default: db.close(); return "{}";
        }
    }

    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null;) {
            int at = line.indexOf(' ');
            String said;
            try {
                said = answer(at < 0 ? line : line.substring(0, at), at < 0 ? "" : line.substring(at + 1));
            } catch (SQLException error) {
                said = "{\"error\": " + quoted(error) + "}";
            }
            System.out.println(said);
        }
    }
}
