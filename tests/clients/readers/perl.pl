# DBD::SQLite: perl.pl EXTENSION URI
use strict;
use warnings;
use DBI;
my ($extension, $uri) = @ARGV;
my $loader = DBI->connect("dbi:SQLite:dbname=:memory:", "", "", {RaiseError => 1});
$loader->sqlite_enable_load_extension(1);
$loader->sqlite_load_extension($extension);
my $read = DBI->connect("dbi:SQLite:uri=$uri", "", "", {RaiseError => 1});
print join("|", $read->selectrow_array("SELECT seawall_txid(), count(*), sum(length(payload)) FROM item")), "\n";
