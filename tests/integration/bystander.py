"""Calls of somebody else, which must not notice what is done to kmsd meanwhile."""
import threading

from harness import Failure, wait_for


class Bystander:
    """Encrypts under a key, with the client that connect makes, again and again; each call must succeed."""

    def __init__(self, connect, key_id):
        self.connect, self.key_id = connect, key_id
        self.done, self.failed, self.stop = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with self.connect() as client:
            while not self.stop.wait(0.01):
                try:
                    client.Encrypt(key_id=self.key_id, plaintext=b"x", timeout=60)
                    self.done += 1
                except Failure as caught:
                    self.failed.append(caught)

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.done or self.failed, 60, "a first call")
        self.first = self.done
        return self

    def __exit__(self, *_):
        wait_for(lambda: self.done > self.first or self.failed, 60, "a call beside it")
        self.stop.set()
        self.thread.join()
        assert not self.failed, self.failed[:3]
