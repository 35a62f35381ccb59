/** The name of a model's folder, in the standard cache and in our own. */
export function repoFolderName(repo: string): string {
  return `models--${repo.replace('/', '--')}`
}
