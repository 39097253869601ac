import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** pgjdbc against a server: connect, create, insert, select, metadata, errors. */
public class Jdbc {
  static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  public static void main(String[] arguments) throws Exception {
    String url = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/main?user=admin&sslmode=disable";
    try (Connection db = DriverManager.getConnection(url)) {
      try (Statement statement = db.createStatement()) {
        statement.execute("CREATE TABLE jdbc (id int PRIMARY KEY, name text, n numeric(10,2), x double precision)");
        statement.execute("CREATE MATERIALIZED VIEW jdbc_view AS SELECT count(*) AS c, sum(n) AS s FROM jdbc");
      }
      try (PreparedStatement insert = db.prepareStatement("INSERT INTO jdbc VALUES (?, ?, ?, ?)")) {
        for (int i = 1; i <= 7; i++) {
          insert.setInt(1, i);
          insert.setString(2, i == 3 ? null : "row " + i);
          insert.setBigDecimal(3, new BigDecimal("1.25").multiply(new BigDecimal(i)));
          insert.setDouble(4, i / 2.0);
          insert.addBatch();
        }
        int[] counts = insert.executeBatch();
        check(counts.length == 7, "a batch of seven");
      }
      // From the fifth execution on the driver prepares on the server and asks for binary results.
      try (PreparedStatement select = db.prepareStatement("SELECT name, n, x FROM jdbc WHERE id = ?")) {
        for (int i = 1; i <= 7; i++) {
          select.setInt(1, i);
          try (ResultSet row = select.executeQuery()) {
            check(row.next(), "row " + i);
            check(i == 3 ? row.getString(1) == null : row.getString(1).equals("row " + i), "name");
            check(row.getBigDecimal(2).compareTo(new BigDecimal("1.25").multiply(new BigDecimal(i))) == 0, "n");
            check(row.getDouble(3) == i / 2.0, "x");
          }
        }
      }
      try (Statement statement = db.createStatement();
          ResultSet row = statement.executeQuery("SELECT c, s FROM jdbc_view")) {
        check(row.next() && row.getLong(1) == 7, "the view counts");
        check(row.getBigDecimal(2).compareTo(new BigDecimal("35.00")) == 0, "the view sums");
      }
      db.setAutoCommit(false);
      try (Statement statement = db.createStatement()) {
        statement.setFetchSize(2);
        List<Integer> seen = new ArrayList<>();
        try (ResultSet rows = statement.executeQuery("SELECT id FROM jdbc ORDER BY id")) {
          while (rows.next()) {
            seen.add(rows.getInt(1));
          }
        }
        check(seen.size() == 7, "rows in portions of two");
        statement.execute("DELETE FROM jdbc WHERE id = 1");
      }
      db.rollback();
      db.setAutoCommit(true);
      try (Statement statement = db.createStatement();
          ResultSet row = statement.executeQuery("SELECT count(*) FROM jdbc")) {
        check(row.next() && row.getLong(1) == 7, "rolled back");
      }
      DatabaseMetaData meta = db.getMetaData();
      List<String> columns = new ArrayList<>();
      try (ResultSet row = meta.getColumns(null, "public", "jdbc", null)) {
        while (row.next()) {
          columns.add(row.getString("COLUMN_NAME") + " " + row.getString("TYPE_NAME"));
        }
      }
      check(columns.equals(List.of("id int4", "name text", "n numeric", "x float8")), columns.toString());
      List<String> tables = new ArrayList<>();
      try (ResultSet row = meta.getTables(null, "public", "jdbc%", new String[] {"TABLE", "MATERIALIZED VIEW"})) {
        while (row.next()) {
          tables.add(row.getString("TABLE_NAME"));
        }
      }
      check(tables.contains("jdbc") && tables.contains("jdbc_view"), tables.toString());
      try (ResultSet row = meta.getPrimaryKeys(null, "public", "jdbc")) {
        check(row.next() && row.getString("COLUMN_NAME").equals("id"), "primary key");
      }
      try (Statement statement = db.createStatement()) {
        statement.execute("SELECT nope FROM jdbc");
        check(false, "an unknown column is an error");
      } catch (SQLException error) {
        check(error.getSQLState().equals("42703"), error.getSQLState());
      }
    }
    System.out.println("ok");
  }
}
