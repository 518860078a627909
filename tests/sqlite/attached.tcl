# Runs one test file of SQLite, and tells companion.py when a daemon may be beside test.db:
#
#   testfixture attached.tcl FILE      with the FIFOs SEAWALL_ASK and SEAWALL_ANSWER
#
# Before each test it writes "test NAME". Before the file changes test.db without SQLite it writes "leave WHY". Each time it waits for a
# line, so the daemon attaches and lets go between two steps of the file.
#
# Two parts of SQLite's tests work in one process only, and are changed here: tester.tcl moves the byte on which locks of the database
# are taken, and testvfs keeps the wal-index in memory.

set seawall_ask [open $env(SEAWALL_ASK) w]
set seawall_answer [open $env(SEAWALL_ANSWER) r]

proc seawall_say {what why} {
  puts $::seawall_ask "$what [string map {"\n" " "} $why]"
  flush $::seawall_ask
  gets $::seawall_answer
}

proc seawall_ours {names} {
  foreach name $names {
    if {[seawall_file tail $name] in {test.db test.db-wal test.db-shm}} { return 1 }
  }
  return 0
}

# Replaces a command by `body`, which may call the command as seawall_COMMAND.
proc seawall_wrap {command arguments body} {
  rename $command seawall_$command
  proc $command $arguments $body
}

seawall_wrap sqlite3_test_control_pending_byte {to} { return 0x40000000 }

seawall_wrap testvfs {name args} {
  if {"-noshm" ni $args} { lappend args -fullshm 1 }
  uplevel 1 [list seawall_testvfs $name {*}$args]
}

seawall_wrap hexio_write {name args} {
  if {[seawall_ours [list $name]]} { seawall_say leave "hexio_write $name" }
  uplevel 1 [list seawall_hexio_write $name {*}$args]
}

seawall_wrap open {name args} {
  if {[lindex $args 0] ni {"" r RDONLY} && [seawall_ours [list $name]]} { seawall_say leave "open $name $args" }
  uplevel 1 [list seawall_open $name {*}$args]
}

# Files of the daemon are not copied: beside a copy they would be those of another database.
seawall_wrap file {what args} {
  if {$what eq "copy" && [string match "test.db-seawall*" [seawall_file tail [lindex $args end-1]]]} return
  set changed $args
  if {$what eq "copy"} { set changed [lrange $args end end] }
  if {$what in {copy delete rename} && [seawall_ours $changed]} { seawall_say leave "file $what $args" }
  uplevel 1 [list seawall_file $what {*}$args]
}

# Replaces commands of tester.tcl, after tester.tcl was read.
proc seawall_wrap_tester {} {
  set ::G(isquick) 1

  seawall_wrap do_test {name script expected} {
    seawall_say test $name
    uplevel 1 [list seawall_do_test $name $script $expected]
  }
  seawall_wrap finish_test {} {
    seawall_say leave "end of the file"
    uplevel 1 seawall_finish_test
  }
}

seawall_wrap source {args} {
  uplevel 1 [list seawall_source {*}$args]
  if {[seawall_file tail [lindex $args end]] eq "tester.tcl" && [info commands seawall_do_test] eq ""} seawall_wrap_tester
}

set argv0 [lindex $argv 0]
set argv [lrange $argv 1 end]
source $argv0
