// pgjdbc against the server at JDBC_URL: extended protocol, named statements after
// five uses, binary transfer, batches, fetch size, COPY, metadata, cancel, errors.
import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.*;
import java.util.Properties;
import org.postgresql.PGConnection;

public class Jdbc {
    static void check(boolean ok, String what) {
        if (!ok) throw new AssertionError(what);
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.setProperty("user", "postgres");
        try (Connection c = DriverManager.getConnection(System.getenv("JDBC_URL"), p)) {
            try (Statement s = c.createStatement()) {
                s.execute("DROP TABLE IF EXISTS clients_jdbc");
                s.execute("CREATE TABLE clients_jdbc (id int PRIMARY KEY, t text, n numeric(12,2), f float8, b boolean, ts timestamp, by bytea)");
            }
            c.setAutoCommit(false);
            try (PreparedStatement ins = c.prepareStatement("INSERT INTO clients_jdbc VALUES (?,?,?,?,?,?,?)")) {
                for (int i = 0; i < 1000; i++) {
                    ins.setInt(1, i);
                    ins.setString(2, "row " + i);
                    ins.setBigDecimal(3, new BigDecimal(i).movePointLeft(2));
                    ins.setDouble(4, i / 3.0);
                    ins.setBoolean(5, i % 2 == 0);
                    ins.setTimestamp(6, Timestamp.valueOf("2026-01-01 00:00:00"));
                    if (i % 10 == 0) ins.setNull(7, Types.BINARY); else ins.setBytes(7, new byte[] {(byte) i, 0});
                    ins.addBatch();
                }
                int n = 0;
                for (int k : ins.executeBatch()) n += k;
                check(n == 1000, "batch " + n);
            }
            c.commit();
            // Past five uses the statement is named and results come in binary.
            try (PreparedStatement q = c.prepareStatement("SELECT * FROM clients_jdbc WHERE id = ?")) {
                for (int i = 0; i < 12; i++) {
                    q.setInt(1, i * 7);
                    try (ResultSet r = q.executeQuery()) {
                        check(r.next(), "row " + i);
                        check(r.getInt(1) == i * 7 && r.getString(2).equals("row " + i * 7), "text");
                        check(r.getBigDecimal(3).equals(new BigDecimal(i * 7).setScale(2).movePointLeft(2).setScale(2)), "numeric " + r.getBigDecimal(3));
                        check(r.getDouble(4) == i * 7 / 3.0 && r.getBoolean(5) == (i * 7 % 2 == 0), "double, boolean");
                        check(r.getTimestamp(6).equals(Timestamp.valueOf("2026-01-01 00:00:00")), "timestamp");
                        check((r.getBytes(7) == null) == (i * 7 % 10 == 0), "bytea");
                    }
                }
            }
            try (Statement s = c.createStatement()) {
                s.setFetchSize(64);
                int n = 0;
                try (ResultSet r = s.executeQuery("SELECT id FROM clients_jdbc ORDER BY id")) {
                    while (r.next()) check(r.getInt(1) == n++, "cursor");
                }
                check(n == 1000, "fetch size");
            }
            c.commit();
            long copied = c.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY clients_jdbc (id, t) FROM STDIN", new StringReader("5000\tx\n5001\ty\n"));
            check(copied == 2, "copy " + copied);
            c.commit();
            try (ResultSet r = c.getMetaData().getColumns(null, "public", "clients_jdbc", "%")) {
                int n = 0;
                while (r.next()) n++;
                check(n == 7, "getColumns " + n);
            }
            try (ResultSet r = c.getMetaData().getPrimaryKeys(null, "public", "clients_jdbc")) {
                check(r.next() && r.getString("COLUMN_NAME").equals("id"), "getPrimaryKeys");
            }
            c.commit();
            try (Statement s = c.createStatement()) {
                s.executeQuery("SELECT 1/0");
                check(false, "no error");
            } catch (SQLException e) {
                check(e.getSQLState().equals("22012"), e.getSQLState());
                c.rollback();
            }
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                s.executeQuery("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b");
                check(false, "not cancelled");
            } catch (SQLException e) {
                check(e.getSQLState().equals("57014"), e.getSQLState() + " " + e);
                c.rollback();
            }
            c.setAutoCommit(true);
            try (Statement s = c.createStatement()) {
                s.execute("DROP TABLE clients_jdbc");
            }
        }
        System.out.println("pgjdbc ok");
    }
}
