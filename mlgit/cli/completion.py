"""``mlgit completion``: what makes a shell complete commands."""

from __future__ import annotations

import click

from mlgit.cli.context import App


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete commands, options, runs and models.

    \b
    bash: eval "$(mlgit completion bash)"          in ~/.bashrc
    zsh:  eval "$(mlgit completion zsh)"           in ~/.zshrc
    fish: mlgit completion fish > ~/.config/fish/completions/mlgit.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = ctx.find_root()
    app: App = ctx.obj
    # Only its template is wanted: click's source() also runs bash to ask for its version.
    script = found(root.command, {}, "mlgit", "_MLGIT_COMPLETE")
    app.out.text(script.source_template % script.source_vars())
