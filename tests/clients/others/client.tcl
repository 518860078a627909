# Tcl's package sqlite3. The protocol is that of ../python/protocol.py.
package require sqlite3
fconfigure stdout -buffering line

proc quoted {text} { return "\"[string map {\\ \\\\ \" \\\" \n \\n} $text]\"" }

proc writes {number} {
    set failed 0
    set why ""
    for {set at 0} {$at < $number} {incr at} {
        set text [string repeat "row $at " 20]
        if {[catch {db eval {INSERT INTO item(body) VALUES($text)}} error]} {
            incr failed
            if {$why eq ""} { set why $error }
        }
    }
    return "{\"failed\": $failed, \"why\": [quoted $why]}"
}

proc answer {command rest} {
    switch $command {
        open { sqlite3 db $rest; return "{}" }
        value {
            set value [lindex [db eval $rest] 0]
            return "{\"value\": [expr {$value eq "" ? "null" : [string is integer $value] ? $value : [quoted $value]}]}"
        }
        write { return [writes $rest] }
        default { db close; return "{}" }
    }
}

while {[gets stdin line] >= 0} {
    regexp {^(\S+) ?(.*)$} $line all command rest
    if {[catch {answer $command $rest} said]} { set said "{\"error\": [quoted $said]}" }
    puts $said
}
