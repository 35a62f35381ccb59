import { isIP } from 'node:net'
import type { Registry } from 'prom-client'
import { PetalsError, UsageError, errorCode, errorMessage } from '../../../base/errors.ts'
import type { ApiKey } from '../../../api/access/access-control.ts'
import type { RequestTracing } from '../../../api/http/request-span.ts'
import type { ApiServer } from '../../../api/api-server.ts'
import { hostClass } from '../../../swarm/guards/host-class.ts'
import type { SwarmLogger } from '../../../swarm/logger.ts'
import type { apiOptions } from '../../options/tables/api-options.ts'
import { type OptionValues, flagOf } from '../../options/option-table.ts'
import type { Cleanup } from '../../process/cleanup.ts'

/** Where the API listens, and how the options for that are called. */
export interface ListenAt {
  readonly host: string
  readonly port: number
  readonly options: { readonly host: string; readonly port: string }
}

export interface OpenApiModules {
  readonly registry: Registry
  readonly logger: SwarmLogger
  readonly cleanup: Cleanup
  readonly tracing?: RequestTracing | undefined
}

/**
 * Opens the API's port; `cleanup` closes it. To be done before anything that takes long, so that a port in use is
 * reported at once; until models are added it answers that they are being opened. Throws `API_LISTEN` and `USAGE`.
 */
export async function openApi(
  values: OptionValues<typeof apiOptions>,
  { host, port, options }: ListenAt,
  { registry, logger, cleanup, tracing }: OpenApiModules,
): Promise<ApiServer> {
  checkOrigins(values.corsOrigins)
  const keys = await keysOf(values)
  if (keys.length === 0 && !isLoopback(host))
    logger.warn(
      { host },
      `whoever reaches ${host} may use the API: give --api-key or --api-key-file, or leave ${flagOf(options.host)} out`,
    )
  const { startApiServer } = await import('../../../api/api-server.ts')
  const server = await startApiServer(
    { registry, logger, tracing },
    {
      host,
      port,
      keys,
      allowedHosts: values.allowedHosts.map((name) => name.toLowerCase()),
      corsOrigins: values.corsOrigins,
      slots: values.parallelTexts,
      maxWaiting: values.maxWaiting,
    },
  ).catch((error: unknown) => {
    if (errorCode(error) !== 'API_LISTEN') throw error
    const flags = `${flagOf(options.port)}, ${flagOf(options.host)}`
    throw new PetalsError('API_LISTEN', `${flags}: ${errorMessage(error)}`, { cause: error })
  })
  cleanup.add(() => server.stop())
  return server
}

async function keysOf({ apiKey, apiKeyFile }: OptionValues<typeof apiOptions>): Promise<ApiKey[]> {
  const own = apiKey.map((key, i) => ({ name: `key-${i + 1}`, key }))
  if (own.some(({ key }) => key.trim() === '' || /\s/.test(key)))
    throw new UsageError('--api-key: a key is neither empty nor has spaces')
  const { readKeyFile } = await import('../../../api/access/key-file.ts')
  const fromFile = apiKeyFile === undefined ? [] : await readKeyFile(apiKeyFile)
  const twice = fromFile.find(({ name }) => own.some((each) => each.name === name))
  if (twice !== undefined)
    throw new UsageError(`--api-key-file ${apiKeyFile}: ${twice.name} is what a key of --api-key is called`)
  return [...own, ...fromFile]
}

/** Throws `USAGE` for what is no origin. */
function checkOrigins(origins: readonly string[]): void {
  const wrong = origins.find((origin) => origin !== '*' && !isOrigin(origin))
  if (wrong !== undefined)
    throw new UsageError(`--cors-origins ${wrong}: expected *, or an origin like https://example.com`)
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || (isIP(host) !== 0 && hostClass(host) === 'loopback')
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}
