"""The parent's end of a worker's socket."""

import os
import socket

from fastfeed.workers.forkserver import send_message
from fastfeed.workers.process import Process


def test_what_a_worker_sent_before_its_death_is_read_though_it_left_mail_unread():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = Process(worker=0, pid=0, pidfd=os.memfd_create("no process"), link=ours)
    process.send({"segment": 3, "retired": []}, [])
    spill = os.memfd_create("spill")
    send_message(theirs, {"spill": 7}, [spill])
    os.close(spill)
    theirs.close()  # with the segment still unread: the first read says "connection reset"
    process.read_messages()
    assert list(process.spills) == [7]
    process.release()
