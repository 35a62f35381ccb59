import { PetalsError } from '../../../src/base/errors.ts'
import { startWorker } from '../../../src/base/thread/start-worker.ts'
import { Thread } from '../../../src/base/thread/thread.ts'
import type { AskedCalls } from './asked-worker.ts'

/** Asks a thread once and ends without ending it. */
const thread = new Thread<AskedCalls>(
  startWorker(import.meta.url, 'asked-worker'),
  (reason) => new PetalsError('LOST', reason),
)
process.stdout.write(await thread.call('later', 'done'))
