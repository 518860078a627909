#!/usr/bin/perl
# DBI with DBD::SQLite. The protocol is that of ../python/protocol.py.
use strict;
use warnings;
use DBI;
use JSON::PP;

$| = 1;
my $db;
my %commands = (
    open => sub { $db = DBI->connect("dbi:SQLite:dbname=$_[0]", "", "", { RaiseError => 1, PrintError => 0 }); {} },
    value => sub {
        my $statement = $db->prepare($_[0]);
        $statement->execute;
        my $row = $statement->{NUM_OF_FIELDS} ? $statement->fetchrow_arrayref : undef;
        my $value = $row ? $row->[0] : undef;
        $statement->finish;
        return { value => $value };
    },
    write => sub {
        my ($failed, $why) = (0, "");
        for my $at (0 .. $_[0] - 1) {
            eval { $db->do("INSERT INTO item(body) VALUES(?)", undef, "row $at " x 20); 1 } or do { $failed++; $why ||= $@ };
        }
        return { failed => $failed, why => $why };
    },
    close => sub { $db->disconnect; undef $db; {} },
);
while (my $line = <STDIN>) {
    chomp $line;
    my ($command, $rest) = split / /, $line, 2;
    my $answer = eval { $commands{$command}->($rest) } || { error => "$@" };
    print encode_json($answer), "\n";
}
