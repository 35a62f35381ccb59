/** The folder of this package, with a slash at its end: sources lie two folders below it, a build one. */
export const PACKAGE_ROOT = new URL(import.meta.url.endsWith('.ts') ? '../../' : '../', import.meta.url)
