import { once } from 'node:events'
import type { Server } from 'node:http'
import { PetalsError, errorMessage } from '../../base/errors.ts'

/** Has a server listen; where it cannot, throws an error of this code that begins with `failure` and names the cure. */
export async function listen(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  code: string,
  failure: string,
): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const reason = inUse ? 'the port is in use; choose another, or 0 for any free one' : errorMessage(error)
    throw new PetalsError(code, `${failure} on ${host}:${port}: ${reason}`, { cause: error })
  }
}
