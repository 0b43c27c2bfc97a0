//! Faults that other tests show, and those that nothing shows, with the reason.

/// A fault, what is promised, and the tests.
type Shown = (&'static str, &'static str, &'static [&'static str]);

pub const SHOWN: &[(&str, &[Shown])] = &[
    (
        "Connections, and this machine",
        &[
            (
                "nothing listens there",
                "refused before anything is sent, with what to do",
                &[
                    "a_dead_endpoint_exits_4_and_says_how_to_mend_it",
                    "a_port_where_nothing_listens_is_refused",
                ],
            ),
            (
                "the endpoint goes away for a moment",
                "requests fail typed, or users wait; how long it was away is told",
                &[
                    "an_open_loop_outlives_a_moment_without_its_endpoint",
                    "users_wait_until_their_endpoint_is_back",
                ],
            ),
            (
                "the endpoint stays away",
                "the stage ends when `unreachable.wait` is over",
                &["an_endpoint_that_stays_away_ends_the_stage_when_the_wait_is_over"],
            ),
            (
                "the server crashes in the middle of a run",
                "everything is recorded, and the run ends in bounded time",
                &["a_server_that_dies_ends_the_run_in_bounded_time_with_everything_recorded"],
            ),
            (
                "packets to it are dropped",
                "`timeouts.connect` ends the request",
                &["a_connection_that_is_never_made_is_timeout_connect"],
            ),
            (
                "a connection dies while it is idle",
                "replaced, and flagged; no latency hides it",
                &[
                    "a_connection_seen_to_close_while_idle_is_replaced_openly",
                    "no_latency_hides_a_reconnect",
                ],
            ),
            (
                "a request would be sent twice",
                "only within a round trip and before a byte of an answer; it is counted",
                &[
                    "a_kept_connection_that_dies_under_a_request_is_replaced_once_and_the_record_says_so",
                    "a_server_that_worked_on_a_request_and_then_closed_has_failed_it",
                ],
            ),
            (
                "this machine has no file descriptors left",
                "`connect.fd_limit`: this machine is blamed, nothing ends, the client recovers",
                &[
                    "out_of_file_descriptors_is_fd_limit_and_passes",
                    "what_this_machine_lacks_is_its_own_fault_and_ends_nothing",
                ],
            ),
            (
                "failed requests leak descriptors",
                "none is left behind",
                &["failed_requests_leave_no_descriptor_behind"],
            ),
            (
                "the host's name does not resolve",
                "`connect.dns`",
                &["a_name_that_does_not_resolve_is_dns"],
            ),
            (
                "the name stands for several addresses",
                "all are used in turn, and each request says its own",
                &[
                    "connections_are_spread_over_all_addresses_and_each_request_says_its_own",
                    "an_address_that_takes_no_connection_is_left_for_the_next_one_and_told",
                ],
            ),
            (
                "`HTTP_PROXY` is set around the run",
                "not heeded: a proxy is named in the plan",
                &["proxy_variables_are_ignored", "a_proxy_is_used_when_asked_for"],
            ),
            (
                "a certificate is expired, of another name, or self-signed",
                "refused; `insecure: true` stands in every report and artefact",
                &[
                    "bad_certificates_are_refused",
                    "an_endpoint_whose_certificate_nobody_checks_says_so_wherever_somebody_reads",
                ],
            ),
            (
                "plain HTTP where TLS is spoken, and the reverse",
                "told",
                &["plain_http_on_a_tls_port_and_the_reverse_are_told"],
            ),
            (
                "an answer comes before the request is written",
                "read",
                &["an_answer_that_comes_before_the_request_is_written_is_read"],
            ),
        ],
    ),
    (
        "Streams",
        &[
            (
                "chunks are cut anywhere",
                "the same events for every cut, in every framing",
                &[
                    "any_stream_gives_the_same_events_for_any_two_cuts",
                    "any_stream_gives_the_same_lines_cut_at_every_byte",
                    "where_reads_cut_changes_nothing",
                ],
            ),
            (
                "several tokens come in one chunk",
                "events are not told as tokens",
                &["events_are_not_told_as_tokens"],
            ),
            (
                "an answer by another model",
                "counted and noted; a failure where the plan says so",
                &["answers_by_another_model_are_counted_and_can_be_failures"],
            ),
            (
                "counts that cannot be",
                "left out, taken down and noted",
                &["counts_that_cannot_be_are_left_out_and_noted"],
            ),
            (
                "any bytes, any mutation of a recorded stream",
                "no panic, nothing unbounded",
                &["any_mutation_of_what_a_server_sends_is_answered"],
            ),
        ],
    ),
    (
        "Counting",
        &[
            (
                "every request fails",
                "exit 5, and no figure is shown as a result",
                &["a_run_that_measured_nothing_is_not_done"],
            ),
            (
                "no request succeeds",
                "figures are absent, never 0 or NaN",
                &[
                    "without_a_success_every_figure_is_null_and_none_is_nan",
                    "failed_requests_never_give_samples_but_of_our_own_lag",
                ],
            ),
            (
                "requests are cut at a stage's end",
                "`cancelled`, with their stamps",
                &[
                    "a_cancelled_request_keeps_its_stamps",
                    "requests_in_flight_are_cut_within_the_grace_of_the_plan",
                ],
            ),
            (
                "a cap on requests in flight hides a queue",
                "times count from due",
                &[
                    "late_answers_stand_for_as_many_as_would_have_been_asked",
                    "a_full_lane_drops_and_counts",
                ],
            ),
            (
                "sleeps drift",
                "due times are absolute, and the achieved rate is told",
                &[
                    "lateness_does_not_add_up",
                    "constant_arrivals_are_exactly_spaced_and_do_not_drift",
                ],
            ),
            (
                "arrivals clump",
                "they follow the law that was asked for, as the server sees them",
                &["arrivals_follow_the_law_that_was_asked_for_as_the_server_saw_them"],
            ),
            (
                "a closed loop runs over its cap",
                "never",
                &["a_closed_loop_never_exceeds_its_concurrency"],
            ),
            (
                "prompts repeat where they must not",
                "each has its own nonce and document",
                &["no_two_levels_probes_or_stages_of_load_share_a_document"],
            ),
            (
                "a rate is more than this machine can do",
                "the generator's limit, not the server's",
                &[
                    "an_impossible_rate_is_called_the_generators_own_limit",
                    "a_generator_at_its_limit_is_no_evidence",
                ],
            ),
        ],
    ),
    (
        "Time and the life of a run",
        &[
            (
                "the process stands still for seconds",
                "late requests are sent or dropped by the plan's policy, and counted",
                &[
                    "after_a_pause_late_requests_are_sent_and_the_stage_says_so",
                    "after_a_pause_late_requests_are_dropped_where_the_plan_says_so",
                ],
            ),
            (
                "this machine is starved of CPU",
                "INVALID",
                &[
                    "a_closed_loop_that_turns_around_late_is_a_saturated_generator",
                    "lateness_is_held_against_the_times_that_it_distorts",
                ],
            ),
            (
                "a turn of a conversation fails",
                "its successors are counted as never started",
                &["a_failed_turn_leaves_its_successors_unsent_and_counted"],
            ),
            (
                "one interrupt, and two",
                "a drained run with a partial report; then at once",
                &[
                    "one_interrupt_drains_and_leaves_a_partial_report",
                    "two_interrupts_leave_within_a_second_with_the_cut_request_recorded",
                    "a_second_signal_cuts_whatever_the_grace",
                ],
            ),
            (
                "SIGTERM while a million million requests are planned",
                "seconds; those never made are one line",
                &[
                    "a_million_million_requests_that_never_started_are_one_line",
                    "a_soak_of_days_ends_at_once",
                ],
            ),
            (
                "SIGHUP, with `nohup` and without",
                "as SIGTERM, or ignored",
                &["a_hangup_that_nohup_ignores_ends_no_run"],
            ),
            (
                "a signal under the full screen",
                "the terminal is given back",
                &["the_full_screen_gives_the_terminal_back_after_a_run_and_after_signals"],
            ),
            (
                "SIGKILL at any moment",
                "what was recorded stands: at most 64 KiB and what was under way are lost, and that is said",
                &[
                    "a_killed_run_lacks_its_last_moment_and_no_more",
                    "a_run_killed_at_any_byte_accounts_for_every_request",
                ],
            ),
            (
                "a kill before the first line",
                "the run is resumed",
                &["a_run_that_died_before_its_first_line_is_resumed"],
            ),
            (
                "a torn last line, a lost manifest",
                "`runner recover` puts the run in order",
                &[
                    "a_killed_run_is_put_in_order_and_that_only_once",
                    "a_manifest_that_is_gone_or_unreadable_is_made_of_the_records",
                ],
            ),
            (
                "records are deleted while the run goes on",
                "INVALID",
                &["records_that_vanish_while_a_run_goes_on_make_it_invalid"],
            ),
            (
                "a line of the log is damaged",
                "INVALID, and told",
                &["a_damaged_log_is_reported_as_invalid"],
            ),
            (
                "memory grows with samples",
                "bounded",
                &[
                    "memory_is_bounded_and_figures_hold_all_the_same",
                    "memory_is_bounded_and_what_left_is_counted",
                ],
            ),
        ],
    ),
    (
        "Files, sinks and standard streams",
        &[
            (
                "the disk is full",
                "the log ends at a whole line, the run ends and says why",
                &["a_full_disk_ends_the_log_at_a_whole_line_and_the_run_still_closes"],
            ),
            (
                "a file may not grow (SIGXFSZ)",
                "an error of that write",
                &["a_file_that_may_not_grow_is_an_error_of_the_write_and_no_death"],
            ),
            (
                "a sink is stuck",
                "neither the log nor the end waits for it",
                &["a_stuck_sink_neither_stops_the_log_nor_the_end"],
            ),
            (
                "a sink fails",
                "its lost rows are counted; a required one changes the exit code",
                &["a_failing_sink_is_counted_and_a_required_one_changes_the_exit_code"],
            ),
            (
                "a gateway is down",
                "a note; the run goes on",
                &["a_gateway_that_refuses_is_a_note_without_the_password"],
            ),
            (
                "standard output's reader goes away",
                "no error",
                &[
                    "a_reader_of_standard_output_that_goes_away_is_no_error",
                    "both_streams_of_a_reader_that_goes_away_change_no_run",
                ],
            ),
            (
                "standard output's reader takes nothing",
                "given up after 15 s: exit 6",
                &["a_standard_output_that_nobody_reads_delays_the_end_and_no_more"],
            ),
            (
                "standard output is full",
                "exit 6; the run is kept",
                &["a_full_standard_output_has_an_exit_code_of_its_own_and_the_run_is_kept"],
            ),
            (
                "standard error is closed, full or not read",
                "nothing changes",
                &[
                    "a_standard_error_that_takes_nothing_changes_no_run",
                    "a_standard_error_that_nobody_reads_stalls_no_run",
                ],
            ),
            (
                "two runs in one directory",
                "the second refuses",
                &["a_directory_is_made_once_and_locked"],
            ),
            (
                "two runs, or two sinks, on one file",
                "the second refuses, also for documents that are replaced as a whole",
                &["a_file_that_one_run_writes_is_refused_to_another"],
            ),
            (
                "a preflight fails",
                "files of earlier runs stay as they were",
                &["a_run_that_does_not_begin_leaves_every_file_as_it_was"],
            ),
            (
                "a database of an older version",
                "gains the columns it lacks",
                &["a_database_of_an_earlier_version_gains_the_columns_that_it_lacks"],
            ),
            (
                "results can't be written",
                "said before the first request",
                &["an_unwritable_results_folder_is_said_before_the_first_request"],
            ),
            (
                "an old result is read as a new one",
                "each artefact names its run",
                &["every_artefact_says_which_run_it_is_and_that_it_was_simulated"],
            ),
            (
                "the report is read offline",
                "one file that loads nothing",
                &["the_page_loads_nothing_and_allows_nothing_inline_but_its_own"],
            ),
            (
                "the plan needs more descriptors, ports or disk than there are",
                "warned of, or refused, before anything is sent",
                &["what_a_plan_needs_of_this_machine_is_told_before_anything_is_sent"],
            ),
        ],
    ),
    (
        "Secrets, and text from outside",
        &[
            (
                "a server echoes keys in everything it says",
                "no secret in any output, artefact, sink or export",
                &["a_server_that_echoes_everything_gets_no_secret_into_what_is_left_or_said"],
            ),
            (
                "a key stands in the wrong place of a plan",
                "not shown by what refuses it",
                &[
                    "a_key_in_the_wrong_place_is_not_shown_by_what_refuses_it",
                    "secrets_appear_nowhere",
                ],
            ),
            (
                "user and password in a URL",
                "never shown",
                &["a_taken_port_fails_before_the_run_and_a_password_is_in_no_name"],
            ),
            (
                "others read the artefacts",
                "0600, and 0700 for folders",
                &[
                    "a_server_that_echoes_everything_gets_no_secret_into_what_is_left_or_said",
                    "only_the_owner_may_read",
                ],
            ),
            ("a redirect to another host", "not followed", &["a_redirect_is_not_followed"]),
            (
                "alias bombs, deep nesting",
                "refused at once",
                &["hostile_texts_are_refused_quickly", "references_that_multiply_are_refused"],
            ),
            (
                "unknown or repeated keys, unset variables",
                "an error with its line",
                &["every_bad_plan_is_refused_in_the_expected_words"],
            ),
            (
                "templates without end or bound",
                "ended; they see no clock, file or environment",
                &[
                    "endless_and_boundless_templates_are_ended",
                    "there_is_no_environment_and_no_clock",
                ],
            ),
            (
                "files outside of the plan's root, links, pipes",
                "not read",
                &[
                    "nothing_outside_the_root_is_read_unless_it_is_allowed",
                    "links_out_of_the_root_and_pipes_are_not_followed",
                ],
            ),
            (
                "`../` in names that become folders",
                "made safe, and kept apart",
                &["names_become_safe_folders_and_stay_apart"],
            ),
            (
                "line ends in a header's value",
                "refused before sending",
                &["header_values_with_line_ends_are_refused_before_sending"],
            ),
            ("a CSV cell that begins as a formula", "made text", &["formulas_are_made_text"]),
            (
                "text as HTML, script or ANSI",
                "text in every format",
                &[
                    "hostile_text_stays_text_in_every_format",
                    "a_terminal_obeys_nothing_but_colours",
                    "what_a_file_says_never_reaches_the_terminal_as_it_is",
                ],
            ),
            (
                "any plan, any dataset",
                "an answer, and never a panic",
                &[
                    "any_mutation_of_a_real_plan_is_answered",
                    "no_reader_panics_or_hangs_on_any_bytes",
                ],
            ),
        ],
    ),
];

pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "HTTP/2: fewer streams than asked, one slow reader, GOAWAY, mass cancels",
        "requests go over HTTP/1.1 alone, one at a time on a connection",
    ),
    (
        "local ports run out",
        "needs a network namespace of its own; it has the class of its error code (`no_local_port`) and goes the way of missing descriptors, which is shown",
    ),
    ("the wall clock jumps", "no duration is taken from it; shown by hand with libfaketime only"),
    ("delayed, reordered or lost packets", "need a kernel with netem"),
    (
        "a task panics",
        "production code has no panic of its own to provoke; lints refuse `unwrap`, `expect` and `panic`",
    ),
    ("fsync takes seconds", "it is a thread's own business; there is no way to slow a disk here"),
    (
        "the report's own code fails",
        "all evidence is on disk before; `runner report` makes it again",
    ),
    (
        "a tag explosion",
        "the tool has no tags that a server can make; a counter of more than 1,024 label sets is left out and named",
    ),
    ("a dataset's row picks the host", "no format has a place for one"),
];
