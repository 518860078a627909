<?php
// PHP with PDO or with the class SQLite3. The argument names one. The protocol is that of ../python/protocol.py.
class WithPdo {
    private ?PDO $db = null;
    function open($path) { $this->db = new PDO("sqlite:$path"); }
    function value($sql) {
        $statement = $this->db->query($sql);
        $value = $statement->columnCount() ? $statement->fetchColumn() : null;
        return $value === false ? null : $value;
    }
    function write($text) { $this->db->prepare("INSERT INTO item(body) VALUES(?)")->execute([$text]); }
    function close() { $this->db = null; }
}

class WithSqlite3 {
    private ?SQLite3 $db = null;
    function open($path) { $this->db = new SQLite3($path); $this->db->enableExceptions(true); }
    function value($sql) { return $this->db->querySingle($sql); }
    function write($text) {
        $statement = $this->db->prepare("INSERT INTO item(body) VALUES(?)");
        $statement->bindValue(1, $text);
        $statement->execute()->finalize();
    }
    function close() { $this->db->close(); $this->db = null; }
}

function write($client, int $number): array {
    $failed = 0;
    $why = "";
    for ($at = 0; $at < $number; $at++) {
        try {
            $client->write(str_repeat("row $at ", 20));
        } catch (Exception $error) {
            $failed++;
            $why = $why ?: $error->getMessage();
        }
    }
    return ["failed" => $failed, "why" => $why];
}

$client = $argv[1] === "pdo" ? new WithPdo : new WithSqlite3;
while (($line = fgets(STDIN)) !== false) {
    [$command, $rest] = explode(" ", rtrim($line, "\n"), 2) + [1 => ""];
    try {
        if ($command === "write") $answer = write($client, (int)$rest);
        elseif ($command === "value") $answer = ["value" => $client->value($rest)];
        else { $client->$command($rest); $answer = new stdClass; }
    } catch (Exception $error) {
        $answer = ["error" => $error->getMessage()];
    }
    echo json_encode($answer), "\n";
}
