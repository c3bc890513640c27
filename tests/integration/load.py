"""Clients that call all the time, in threads, while a test does something to the service."""
import itertools
import threading

from harness import Failure, wait_for


def correlated(id_):
    """Metadata that puts an id of the caller's into the audit record."""
    return (("x-correlation-id", id_),)


class Load:
    """Threads that repeat an action until told to end; each gets a client of its own and counts what it did."""

    def __init__(self, service, prefix="load", **options):
        self.service, self.prefix, self.options = service, prefix, options
        self.stopping = threading.Event()
        self.threads, self.done, self.failures, self.counter = [], [], [], itertools.count()

    def add(self, count, uri, action, **options):
        """action(client, name) once and again; what it returns is kept in done, what it raises in failures."""
        options = dict(self.options, **options)
        patient = options.pop("patient", True)  # goes on after a failure
        for _ in range(count):
            client = self.service.client(uri, **options)
            self.threads.append(threading.Thread(target=self._run, args=(client, action, patient)))
        return self

    def _run(self, client, action, patient):
        with client:
            while not self.stopping.is_set():
                try:
                    self.done.append(action(client, f"{self.prefix}-{next(self.counter)}"))
                except Failure as failure:
                    self.failures.append(failure)
                    if not patient:
                        return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def progress(self, calls=20, seconds=30):
        """Waits until so many more actions have ended well."""
        goal = len(self.done) + calls
        wait_for(
            lambda: len(self.done) >= goal, seconds, f"{calls} more calls (failures: {self.failures[-3:]})"
        )

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
