<?php
// SQLite3 of PHP, which opens file names and no URIs: SEAWALL_REPLICA names the replica, ATTACH takes a URI.
// php -d sqlite3.extension_dir=FOLDER php.php EXTENSION URI
$loader = new SQLite3(":memory:");
$loader->loadExtension(basename($argv[1]));
$read = new SQLite3("/tmp/app.db", SQLITE3_OPEN_READONLY);
echo implode("|", $read->query("SELECT seawall_txid(), count(*), sum(length(payload)) FROM item")->fetchArray(SQLITE3_NUM)), "\n";
