import { workerData } from 'node:worker_threads'
import { viewOf } from '../../runtime/library.ts'
import { END, type ReadJob, type ReadWorkerData, helpReading } from './shared-read.ts'
import { receiveSync } from '../../base/thread/sync-channel.ts'

/** A second thread that reads weights, until it is told to end. */
const { receiver, left } = workerData as ReadWorkerData

function serve(): void {
  for (;;) {
    for (const job of receiveSync<ReadJob | typeof END>(receiver, Infinity)) {
      if (job === END) return
      helpReading(job, ({ address, byteLength }) => viewOf(address, byteLength))
    }
  }
}

serve()
Atomics.store(new Int32Array(left), 0, 1)
Atomics.notify(new Int32Array(left), 0)
receiver.port.close()
