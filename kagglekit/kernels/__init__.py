"""Stage 6: experiments on Kaggle's machines, as notebooks ("kernels" in Kaggle's API) that a person can read.

A module a noun, in the order in which a push uses them:

    machines    accelerators by their current names
    secrets     what must never leave this computer
    wheels      kagglekit and what Kaggle's image lacks, as wheels
    parcels     files that travel as private datasets, versioned by content
    sync        parcels on the site: uploaded only when changed
    plan        which fits a session has time and quota for
    assignment  what a notebook is to do, and with what
    cells       what it says and runs
    notebook    the notebook itself, as a file
    push        notebooks on the site
    mounts      inside the notebook: where Kaggle put its inputs
    session     inside the notebook: finished folds go on, time is kept
    picture     inside the notebook: the result as a drawing
    watch       status and log of a notebook that runs
    pull        its finished runs, checked, into the store here
"""
