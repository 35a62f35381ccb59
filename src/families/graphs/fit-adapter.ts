import { PetalsError } from '../../base/errors.ts'
import type { Adapter, AdapterModule } from '../../checkpoint/adapter/adapter.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { bareName } from '../../checkpoint/weights/names.ts'
import { blockGraphs } from './graphs.ts'
import { familyOf } from '../models/index.ts'
import { type LoraModule, loraModules } from '../../graph/lora.ts'

/** A module of an adapter, and the linear layer of the model that it changes. */
export interface FittedModule extends AdapterModule {
  readonly block: number
  /** The linear layer's name within the block. */
  readonly module: string
  /** The module's rank. */
  readonly rank: number
}

/** An adapter that fits the model. */
export interface FittedAdapter {
  readonly name: string
  /** The largest rank among its modules. */
  readonly rank: number
  readonly modules: readonly FittedModule[]
}

/** Any target will do to list linear layers: their names and sizes are the same on every device. */
const TARGET = { device: 'cpu', dtype: 'float32', adapters: true } as const

/**
 * Assigns each module of an adapter to a linear layer of the model; which blocks are served does not matter. Throws
 * `ADAPTER_MISFIT`, naming the first matrix that does not fit.
 */
export function fitAdapter({ name, modules }: Adapter, config: ModelConfig): FittedAdapter {
  const places = modulesOf(config)
  const fitted = modules.map((module): FittedModule => {
    const place = places.get(bareName(module.name))
    if (place === undefined) throw misfit(name, module.name, 'the blocks of this model have no such linear layer')
    const { inFeatures, outFeatures } = place.module
    const [rank = 0] = module.a.shape
    checkShape(name, `${module.name}.lora_A`, module.a.shape, [rank, inFeatures])
    checkShape(name, `${module.name}.lora_B`, module.b.shape, [outFeatures, rank])
    if (rank < 1) throw misfit(name, `${module.name}.lora_A`, 'it has rank 0')
    return { ...module, block: place.block, module: place.module.name, rank }
  })
  return { name, rank: Math.max(...fitted.map(({ rank }) => rank)), modules: fitted }
}

function checkShape(adapter: string, matrix: string, shape: readonly number[], wanted: readonly number[]): void {
  if (shape.join() !== wanted.join())
    throw misfit(adapter, matrix, `it is [${shape.join(', ')}], the model takes [${wanted.join(', ')}]`)
}

function misfit(adapter: string, matrix: string, problem: string): PetalsError {
  return new PetalsError('ADAPTER_MISFIT', `adapter ${adapter} does not fit this model: ${matrix}: ${problem}`)
}

/** A linear layer that an adapter may change. */
export interface AdaptableLayer {
  /** Its name in the whole model, as transformers has it. */
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
}

/** All linear layers of the blocks that adapters may change, block by block. Throws as `buildBlockGraph`. */
export function adaptableLayers(config: ModelConfig): AdaptableLayer[] {
  const { blockPrefix } = familyOf(config).names(config)
  return blockGraphs(config, TARGET).flatMap((graph, block) =>
    loraModules(graph).map((module) => ({ ...module, name: blockPrefix(block) + module.name })),
  )
}

function modulesOf(config: ModelConfig): Map<string, { readonly block: number; readonly module: LoraModule }> {
  const { blockPrefix } = familyOf(config).names(config)
  return new Map(
    blockGraphs(config, TARGET).flatMap((graph, block) =>
      loraModules(graph).map((module) => [bareName(blockPrefix(block) + module.name), { block, module }] as const),
    ),
  )
}
